package host

import (
	"lockstep/audit"
	"lockstep/audit/canonical"
)

// MembersFormat is the encoding of a membership.
const MembersFormat canonical.Format = "LSM1"

// Learn judges what replicas say of the membership. With trusted empty, a
// membership is believed when a majority of its own voters states it; else
// when a majority of the trusted one's voters does. Of several, the newest.
func Learn(infos []Info, trusted audit.Members) (audit.Members, bool) {
	type candidate struct {
		members  audit.Members
		majority int
		by       map[audit.ReplicaID]bool
	}
	candidates := make(map[string]*candidate)
	for i := range infos {
		in := &infos[i]
		if !in.Deployed || in.Members.Seq < trusted.Seq {
			continue
		}
		panel := trusted
		if len(trusted.List) == 0 {
			panel = in.Members
		}
		if key, voter := panel.Voter(in.Replica); !voter || !in.Verify(key) {
			continue
		}
		id := string(MembersFormat.Encode(in.Members))
		c := candidates[id]
		if c == nil {
			c = &candidate{in.Members, panel.Majority(), make(map[audit.ReplicaID]bool)}
			candidates[id] = c
		}
		c.by[in.Replica] = true
	}
	var best audit.Members
	found := false
	for _, c := range candidates {
		if len(c.by) >= c.majority && (!found || c.members.Seq > best.Seq) {
			best, found = c.members, true
		}
	}
	return best, found
}
