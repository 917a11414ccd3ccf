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
			got, _, ok := Learn([]Info{in}, trusted)
			if ok != c.ok || ok && got.Seq != in.Members.Seq {
				t.Errorf("learned %v: %+v", ok, got)
			}
		})
	}
}

// With an operator's key, replicas may lie and who knows three voters follows the one that an operator had go on, by that signature; and
// without it nobody, in any mode.
func TestLearnFollowsWord(t *testing.T) {
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, c := range map[string]struct {
		mode audit.Mode
		harm func(v *voterSet, r *epochs.Recovery)
		ok   bool
	}{
		"word, signed":      {audit.Signed, nil, true},
		"word, majority":    {audit.Majority, nil, true},
		"no word, signed":   {audit.Signed, func(_ *voterSet, r *epochs.Recovery) { r.Word = nil }, false},
		"no word, majority": {audit.Majority, func(_ *voterSet, r *epochs.Recovery) { r.Word = nil }, false},
		"a replica's":       {audit.Signed, func(v *voterSet, r *epochs.Recovery) { r.GiveWord(v.keys[0]) }, false},
		"changed after it": {audit.Signed, func(v *voterSet, r *epochs.Recovery) {
			r.Base.Seq++
			r.Sign(v.keys[0])
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVoters(3)
			v.panel.Mode, v.panel.Operator = c.mode, audit.Operator(operator.Public().(ed25519.PublicKey))
			r := v.word(operator, 1, 1001, "r0")
			if c.harm != nil {
				c.harm(v, &r)
			}
			got, torn, ok := Learn([]Info{v.left("r0", r)}, v.panel)
			if ok != c.ok || torn != 0 || ok && (got.Seq != 6 || got.Operator != v.panel.Operator) {
				t.Errorf("learned %v, torn at %d: %+v", ok, torn, got)
			}
		})
	}
}

// Of two words neither is followed, whatever epochs they open, but where the one goes on from the other.
func TestLearnTwoWords(t *testing.T) {
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	v := newVoters(3)
	v.panel.Mode, v.panel.Operator = audit.Signed, audit.Operator(operator.Public().(ed25519.PublicKey))
	first, own := v.word(operator, 1, 1001, "r0"), v.word(operator, 1, 1002, "r1")
	own.GiveWord(v.keys[1])
	type list = []epochs.Recovery
	for name, c := range map[string]struct {
		by   audit.ReplicaID // who says it beside r0, which tells of the first alone
		says list
		torn ordering.Epoch
	}{
		"the same":                    {"r1", list{first}, 0},
		"for one epoch":               {"r1", list{v.word(operator, 1, 1001, "r1")}, 1001},
		"for a later epoch":           {"r1", list{v.word(operator, 2, 1002, "r1")}, 1002},
		"for an earlier epoch":        {"r1", list{v.word(operator, 1, 900, "r1")}, 1001},
		"its own":                     {"r1", list{own}, 0},
		"after the other":             {"r1", list{first, v.word(operator, 1001, 2001, "r0")}, 0},
		"long after the other":        {"r1", list{v.word(operator, 1007, 2007, "r0")}, 0},
		"with all that there are":     {"r1", list{v.word(operator, 2, 1002, "r0", "r1", "r2")}, 1002},
		"after another, for the same": {"r1", list{v.word(operator, 1, 900, "r0", "r1"), v.word(operator, 900, 1900, "r1")}, 1900},
	} {
		t.Run(name, func(t *testing.T) {
			for _, infos := range [][]Info{{v.left("r0", first), v.left(c.by, c.says...)}, {v.left(c.by, c.says...), v.left("r0", first)}} {
				got, torn, ok := Learn(infos, v.panel)
				if torn != c.torn || ok == (c.torn > 0) {
					t.Errorf("torn at %d, want %d; learned %v: %+v", torn, c.torn, ok, got)
				}
			}
		})
	}
}

// word is a recovery that leaves some voters, of which the first one goes ahead after an entry of an epoch.
func (v *voterSet) word(operator ed25519.PrivateKey, after, opens ordering.Epoch, voters ...audit.ReplicaID) epochs.Recovery {
	r := epochs.Recovery{Machine: "m", Epoch: opens, Base: ordering.Position{Epoch: after, Seq: ordering.Seq(4 + after)}, Replica: voters[0], Voters: voters}
	r.Sign(v.keys[slices.IndexFunc(v.panel.List, func(m audit.Member) bool { return m.ID == r.Replica })])
	r.GiveWord(operator)
	return r
}

// left is what a voter says that some words have left alone.
func (v *voterSet) left(id audit.ReplicaID, words ...epochs.Recovery) Info {
	i := slices.IndexFunc(v.panel.List, func(m audit.Member) bool { return m.ID == id })
	in := Info{Machine: "m", Replica: id, Deployed: true, Members: changed(v.panel, v.panel.List[i:i+1], 6), Recoveries: words}
	in.Sign(v.keys[i])
	return in
}
