package host

import (
	"fmt"
	"slices"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// open checks that an entry opens its epoch where the machine is.
func (m *Machine) open(e ordering.Entry) (*epochs.Opening, []audit.Member, error) {
	var o epochs.Opening
	if err := epochs.OpeningFormat.Decode(e.Data, &o); err != nil {
		return nil, nil, fmt.Errorf("%w: epoch %d at seq %d: %w", epochs.ErrNoOpening, e.Epoch, e.Seq, err)
	}
	if o.Machine != m.machine || o.Epoch != e.Epoch || o.Base != m.Position() {
		return nil, nil, fmt.Errorf("%w: epoch %d at seq %d goes on from %v, want %v", epochs.ErrNoOpening, e.Epoch, e.Seq, o.Base, m.Position())
	}
	list, err := o.Members(m.members)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: epoch %d at seq %d: %w", epochs.ErrNoOpening, e.Epoch, e.Seq, err)
	}
	return &o, list, nil
}

// enter opens the epoch. There is a checkpoint at its beginning, so that nobody has to go back
// beyond it for long.
func (m *Machine) enter(o *epochs.Opening, list []audit.Member, t *Transition) *Reply {
	t.Opened, t.checkpoint = o, true
	if len(o.Recovery) == 0 {
		return nil
	}
	kept := m.recoveries[max(0, len(m.recoveries)+1-maxRecoveries):]
	m.recoveries = append(slices.Clone(kept), o.Recovery[0])
	if len(list) != len(m.members.List) {
		next := changed(m.members, list, m.seq)
		m.members, t.Members = next, &next
	}
	return nil
}
