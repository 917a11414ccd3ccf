package membership

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// cast are four voters a to d and an observer o, with what each says of itself.
func cast(phases map[audit.ReplicaID]host.Phase) (members audit.Members, infos []host.Info) {
	for i, id := range []audit.ReplicaID{"a", "b", "c", "d", "o"} {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i)))
		members.List = append(members.List, audit.Member{ID: id, Key: key.Public().(ed25519.PublicKey), Voter: id != "o"})
		if phase, answers := phases[id]; answers {
			infos = append(infos, host.Info{Replica: id, Key: members.List[i].Key, Phase: phase})
		}
	}
	return members, infos
}

// Who leaves must leave a majority of voters behind that vote; observers count for nothing.
func TestSurvive(t *testing.T) {
	const votes, not = host.PhaseVoting, host.PhaseStopped
	for name, tc := range map[string]struct {
		phases map[audit.ReplicaID]host.Phase
		leaves audit.ReplicaID
		safe   bool
	}{
		"all vote":                        {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes, "c": votes, "d": votes}, "a", true},
		"one besides is gone":             {map[audit.ReplicaID]host.Phase{"b": votes, "c": votes}, "a", true},
		"two besides are gone":            {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes}, "a", false},
		"one of them does not vote":       {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes, "c": not}, "a", false},
		"an observer in place of a voter": {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes, "o": votes}, "a", false},
		"an observer leaves":              {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes, "c": votes, "o": votes}, "o", true},
		"an observer leaves half of them": {map[audit.ReplicaID]host.Phase{"a": votes, "b": votes, "o": votes}, "o", false},
	} {
		members, infos := cast(tc.phases)
		if err := survive(members, infos, tc.leaves); (err == nil) != tc.safe || err != nil && !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v, safe: %v", name, err, tc.safe)
		}
	}
	members, infos := cast(map[audit.ReplicaID]host.Phase{"b": votes, "c": votes})
	infos[0].Key = infos[1].Key
	if err := survive(members, infos, "a"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("an answer under a voter's name with another key counts: %v", err)
	}
}

// One voter cannot keep a joiner waiting, nor have it taken too early, and neither can who does not vote.
func TestFurthest(t *testing.T) {
	at := func(id audit.ReplicaID, phase host.Phase, seq ordering.Seq) host.Info {
		return host.Info{Replica: id, Phase: phase, Seq: seq}
	}
	voters := []host.Info{at("a", host.PhaseVoting, 100), at("b", host.PhaseVoting, 101), at("c", host.PhaseVoting, 1<<60)}
	for name, tc := range map[string]struct {
		infos []host.Info
		want  ordering.Seq
	}{
		"nobody":             {nil, 0},
		"one lies":           {voters, 101},
		"the joiner":         {append([]host.Info{at("o", host.PhaseVoting, 1<<61), at("o", host.PhaseVoting, 1<<61)}, voters...), 101},
		"others do not vote": {append([]host.Info{at("p", host.PhaseStopped, 1), at("q", host.PhaseStopped, 1), at("r", host.PhaseStopped, 1)}, voters...), 101},
		"none of them votes": {[]host.Info{at("a", host.PhaseStopped, 7)}, 0},
	} {
		if got := furthest(tc.infos, "o"); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
