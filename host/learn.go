package host

import (
	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host/epochs"
)

// MembersFormat is the encoding of a membership.
const MembersFormat canonical.Format = "LSM1"

// Learn judges what replicas say of the membership. With trusted empty, a
// membership is believed when a majority of its own voters states it; else
// when a majority of the trusted one's voters does, or of those of them that went on by
// an operator's word. Of several, the newest; two different ones made by the same entry are believed
// neither.
func Learn(infos []Info, trusted audit.Members) (audit.Members, bool) {
	m, ok := learn(infos, trusted)
	if ok && m.Seq > trusted.Seq {
		return m, true
	}
	for _, panel := range recovered(infos, trusted) {
		if next, found := learn(infos, panel); found {
			return next, true
		}
	}
	return m, ok
}

// recovered are the memberships that recoveries have left of a trusted one, by the word of a voter
// that it names. Where replicas may lie one's word is nothing: then there are none, and
// whoever trusts a membership has to be told the next one.
func recovered(infos []Info, trusted audit.Members) (panels []audit.Members) {
	if trusted.Mode == audit.Signed {
		return nil
	}
	for i := range infos {
		in := &infos[i]
		panel := trusted
		key, voter := panel.Voter(in.Replica)
		if !voter || !in.Verify(key) || len(in.Recoveries) > maxRecoveries {
			continue
		}
		for j := range in.Recoveries {
			panel = after(&in.Recoveries[j], in.Machine, panel)
		}
		if panel.Seq > trusted.Seq {
			panels = append(panels, panel)
		}
	}
	return panels
}

// after is a membership after a recovery, or the same if that does not follow from it.
func after(r *epochs.Recovery, machine string, panel audit.Members) audit.Members {
	if r.Machine != machine || r.Base.Seq < panel.Seq {
		return panel
	}
	list, err := r.Members(panel)
	if err != nil || len(list) == len(panel.List) {
		return panel
	}
	return audit.Members{Seq: r.Base.Seq + 1, Mode: panel.Mode, List: list}
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
