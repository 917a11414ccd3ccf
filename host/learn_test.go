package host

import (
	"slices"
	"testing"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Who knows three voters follows the one that an operator had go on alone, by its signature; not where replicas may
// lie, nor a stranger, nor a recovery of another machine, nor without the word of those that go on.
func TestLearnFollowsRecovery(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(v *voterSet, in *Info, r *epochs.Recovery, trusted *audit.Members)
		ok   bool
	}{
		"recovered": {func(*voterSet, *Info, *epochs.Recovery, *audit.Members) {}, true},
		"joined by others": {func(v *voterSet, in *Info, _ *epochs.Recovery, _ *audit.Members) {
			in.Members = v.panel
			in.Members.Seq = 12
		}, true},
		"lies":    {func(_ *voterSet, _ *Info, _ *epochs.Recovery, trusted *audit.Members) { trusted.Mode = audit.Signed }, false},
		"no word": {func(_ *voterSet, in *Info, _ *epochs.Recovery, _ *audit.Members) { in.Recoveries = nil }, false},
		"forged": {func(_ *voterSet, in *Info, r *epochs.Recovery, _ *audit.Members) {
			r.Reason = "x"
			in.Recoveries = []epochs.Recovery{*r}
		}, false},
		"other machine": {func(v *voterSet, in *Info, r *epochs.Recovery, _ *audit.Members) {
			r.Machine = "other"
			r.Sign(v.keys[0])
			in.Recoveries = []epochs.Recovery{*r}
		}, false},
		"older than what is known": {func(_ *voterSet, _ *Info, _ *epochs.Recovery, trusted *audit.Members) { trusted.Seq = 6 }, false},
		"two go on, one says so": {func(v *voterSet, in *Info, r *epochs.Recovery, _ *audit.Members) {
			r.Voters = []audit.ReplicaID{"r0", "r1"}
			r.Sign(v.keys[0])
			in.Members.List, in.Recoveries = v.panel.List[:2], []epochs.Recovery{*r}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVoters(3)
			r := epochs.Recovery{Machine: "m", Epoch: 2, Base: ordering.Position{Epoch: 1, Seq: 5}, Replica: "r0", Voters: []audit.ReplicaID{"r0"}}
			r.Sign(v.keys[0])
			in := Info{Machine: "m", Replica: "r0", Deployed: true, Members: audit.Members{Seq: 6, List: v.panel.List[:1]}, Recoveries: []epochs.Recovery{r}}
			trusted := v.panel
			trusted.List = slices.Clone(trusted.List)
			c.harm(v, &in, &r, &trusted)
			in.Sign(v.keys[0])
			got, ok := Learn([]Info{in}, trusted)
			if ok != c.ok || ok && got.Seq != in.Members.Seq {
				t.Errorf("learned %v: %+v", ok, got)
			}
		})
	}
}
