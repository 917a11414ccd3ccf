package epochs

import (
	"lockstep/audit"
	"lockstep/ordering"
)

// Words is what voters of a trusted membership tell of recoveries, and what follows from it.
type Words struct {
	Trusted audit.Members
	Left    []audit.Members // memberships that recoveries have left of it, one for each voter that tells of such
	// Torn is an epoch for which an operator has given two different words, 0 if there is none. Who sees both follows neither.
	Torn  ordering.Epoch
	given map[ordering.Epoch]*Recovery
}

// Hear takes what one of the voters tells, oldest first. Where replicas may lie a recovery that has only their signatures is
// nothing to those who see nothing else: whoever trusts a membership has to be told the next one there.
func (w *Words) Hear(machine string, list []Recovery) {
	if w.Trusted.Mode == audit.Signed && w.Trusted.Operator == (audit.Operator{}) {
		return
	}
	if w.given == nil {
		w.given = make(map[ordering.Epoch]*Recovery)
	}
	panel := w.Trusted
	for i := range list {
		r := &list[i]
		next, ok := r.after(machine, panel)
		if !ok {
			continue
		}
		if other := w.given[r.Epoch]; other != nil && !other.equals(r) {
			w.Torn = r.Epoch
		}
		w.given[r.Epoch], panel = r, next
	}
	if panel.Seq > w.Trusted.Seq {
		w.Left = append(w.Left, panel)
	}
}

// after is a membership after the recovery, if that follows from it and leaves another one.
func (r *Recovery) after(machine string, panel audit.Members) (audit.Members, bool) {
	if r.Machine != machine || r.Base.Seq < panel.Seq {
		return panel, false
	}
	list, err := r.Members(panel)
	if err != nil || len(list) == len(panel.List) {
		return panel, false
	}
	panel.List, panel.Seq = list, r.Base.Seq+1
	return panel, true
}
