package host

import (
	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// MembersFormat is the encoding of a membership.
const MembersFormat canonical.Format = "LSM2"

// Learn judges what replicas say of the membership. With trusted empty, a
// membership is believed when a majority of its own voters states it; else
// when a majority of the trusted one's voters does, or of those of them that went on by
// an operator's word. Of several, the newest; two different ones made by the same entry are believed
// neither, and neither are two words neither of which goes on from the other: torn is the epoch of such, else 0; see epochs.Words.
func Learn(infos []Info, trusted audit.Members) (m audit.Members, torn ordering.Epoch, ok bool) {
	m, ok = learn(infos, trusted)
	if ok && m.Seq > trusted.Seq {
		return m, 0, true
	}
	words := epochs.Words{Trusted: trusted}
	for i := range infos {
		infos[i].tell(&words)
	}
	if words.Torn > 0 {
		return m, words.Torn, ok
	}
	for _, panel := range words.Left {
		if next, found := learn(infos, panel); found {
			return next, 0, true
		}
	}
	return m, 0, ok
}

// tell has those hear of the replica's recoveries who trust a membership that it votes in.
func (i *Info) tell(w *epochs.Words) {
	key, voter := w.Trusted.Voter(i.Replica)
	if voter && i.Verify(key) && len(i.Recoveries) <= maxRecoveries {
		w.Hear(i.Machine, i.Recoveries)
	}
}

func learn(infos []Info, trusted audit.Members) (audit.Members, bool) {
	var candidates []*candidate
	for i := range infos {
		in := &infos[i]
		if !in.Deployed || in.Members.Seq < trusted.Seq {
			continue
		}
		panel := trusted
		if len(trusted.List) == 0 {
			panel = in.Members
		}
		if key, voter := panel.Voter(in.Replica); voter && in.Verify(key) {
			candidates = support(candidates, in, panel.Majority())
		}
	}
	var best *candidate
	torn := false
	for _, c := range candidates {
		switch {
		case len(c.by) < c.majority:
		case best == nil || c.members.Seq > best.members.Seq:
			best, torn = c, false
		case c.members.Seq == best.members.Seq:
			torn = true
		}
	}
	if best == nil || torn {
		return audit.Members{}, false
	}
	return best.members, true
}

// candidate is a membership and who states it.
type candidate struct {
	id       string
	members  audit.Members
	majority int
	by       map[audit.ReplicaID]bool
}

// support counts what a replica states.
func support(candidates []*candidate, in *Info, majority int) []*candidate {
	id := string(MembersFormat.Encode(in.Members))
	for _, c := range candidates {
		if c.id == id {
			c.by[in.Replica] = true
			return candidates
		}
	}
	by := map[audit.ReplicaID]bool{in.Replica: true}
	return append(candidates, &candidate{id, in.Members, majority, by})
}
