package epochs

import (
	"lockstep/audit"
	"lockstep/ordering"
)

// Words is what voters of a trusted membership tell of recoveries, and what follows from it.
type Words struct {
	Trusted audit.Members
	Left    []audit.Members // memberships that recoveries have left of it, one for each voter that tells of such
	// Torn is the later epoch of two words neither of which goes on from the other, 0 if there are none. Who sees both follows neither.
	Torn  ordering.Epoch
	given []*Recovery // each once, of those that are torn one
}

// Hear takes what one of the voters tells, oldest first. Where replicas may lie a recovery that has only their signatures is
// nothing to those who see nothing else: whoever trusts a membership has to be told the next one there.
func (w *Words) Hear(machine string, list []Recovery) {
	if w.Trusted.Mode == audit.Signed && w.Trusted.Operator == (audit.Operator{}) {
		return
	}
	panel := w.Trusted
	for i := range list {
		if next, ok := list[i].after(machine, panel); ok {
			w.give(&list[i])
			panel = next
		}
	}
	if panel.Seq > w.Trusted.Seq {
		w.Left = append(w.Left, panel)
	}
}

// give compares a word with those before.
func (w *Words) give(r *Recovery) {
	for _, o := range w.given {
		switch {
		case o.Epoch == r.Epoch && o.equals(r):
			return
		case o.Base.Epoch < r.Epoch && r.Base.Epoch < o.Epoch: // each gives up what the other one opened
			w.Torn = max(w.Torn, o.Epoch, r.Epoch)
		}
	}
	if w.Torn == 0 {
		w.given = append(w.given, r)
	}
}

// after is the membership after the recovery, if that follows from the one before: the same where all voters go on.
func (r *Recovery) after(machine string, panel audit.Members) (audit.Members, bool) {
	if r.Machine != machine || r.Base.Seq < panel.Seq {
		return panel, false
	}
	list, err := r.Members(panel)
	if err != nil {
		return panel, false
	}
	if len(list) < len(panel.List) {
		panel.List, panel.Seq = list, r.Base.Seq+1
	}
	return panel, true
}
