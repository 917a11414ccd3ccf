package host

import (
	"crypto/ed25519"
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

// With an operator's key, replicas may lie and who knows three voters follows the one that an operator had go on, by that signature; and
// without it nobody, in any mode. Of two words for one epoch neither is followed.
func TestLearnFollowsWord(t *testing.T) {
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, c := range map[string]struct {
		mode audit.Mode
		harm func(v *voterSet, r *epochs.Recovery)
		also func(v *voterSet, r *epochs.Recovery) // what another voter shows
		ok   bool
	}{
		"word, signed":      {audit.Signed, nil, nil, true},
		"word, majority":    {audit.Majority, nil, nil, true},
		"no word, signed":   {audit.Signed, func(_ *voterSet, r *epochs.Recovery) { r.Word = nil }, nil, false},
		"no word, majority": {audit.Majority, func(_ *voterSet, r *epochs.Recovery) { r.Word = nil }, nil, false},
		"a replica's":       {audit.Signed, func(v *voterSet, r *epochs.Recovery) { r.GiveWord(v.keys[0]) }, nil, false},
		"changed after it": {audit.Signed, func(v *voterSet, r *epochs.Recovery) {
			r.Base.Seq++
			r.Sign(v.keys[0])
		}, nil, false},
		"the same from two": {audit.Signed, nil, func(*voterSet, *epochs.Recovery) {}, true},
		"another from another, of the operator": {audit.Signed, nil, func(v *voterSet, r *epochs.Recovery) {
			r.Replica, r.Voters = "r1", []audit.ReplicaID{"r1"}
			r.Sign(v.keys[1])
			r.GiveWord(operator)
		}, false},
		"another from another, of its own": {audit.Signed, nil, func(v *voterSet, r *epochs.Recovery) {
			r.Replica, r.Voters = "r1", []audit.ReplicaID{"r1"}
			r.Sign(v.keys[1])
			r.GiveWord(v.keys[1])
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVoters(3)
			v.panel.Mode, v.panel.Operator = c.mode, audit.Operator(operator.Public().(ed25519.PublicKey))
			r := epochs.Recovery{Machine: "m", Epoch: 1001, Base: ordering.Position{Epoch: 1, Seq: 5}, Replica: "r0", Voters: []audit.ReplicaID{"r0"}}
			r.Sign(v.keys[0])
			r.GiveWord(operator)
			if c.harm != nil {
				c.harm(v, &r)
			}
			infos := []Info{{Machine: "m", Replica: "r0", Deployed: true, Members: changed(v.panel, v.panel.List[:1], 6), Recoveries: []epochs.Recovery{r}}}
			infos[0].Sign(v.keys[0])
			if c.also != nil {
				c.also(v, &r)
				infos = append(infos, Info{Machine: "m", Replica: "r1", Deployed: true, Members: changed(v.panel, v.panel.List[1:2], 6), Recoveries: []epochs.Recovery{r}})
				infos[1].Sign(v.keys[1])
			}
			got, ok := Learn(infos, v.panel)
			if ok != c.ok || ok && (got.Seq != 6 || got.Operator != v.panel.Operator) {
				t.Errorf("learned %v: %+v", ok, got)
			}
			words := epochs.Words{Trusted: v.panel}
			for i := range infos {
				infos[i].Tell(&words)
			}
			if torn, want := words.Torn, map[bool]ordering.Epoch{true: 1001}[name == "another from another, of the operator"]; torn != want {
				t.Errorf("torn at %d, want %d", torn, want)
			}
		})
	}
}
