package protocol_test

import (
	"crypto/ed25519"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
)

// What counts is said by a voter with the key that it has in the membership: nobody speaks under another's name, each once,
// and only for the machine that is asked about.
func TestOfVoters(t *testing.T) {
	keys := make(map[string]ed25519.PrivateKey)
	public := func(name string) []byte {
		if keys[name] == nil {
			_, keys[name], _ = ed25519.GenerateKey(nil) // never fails
		}
		return keys[name].Public().(ed25519.PublicKey)
	}
	members := audit.Members{List: []audit.Member{
		{ID: "n1", Key: public("n1"), Voter: true}, {ID: "n2", Key: public("n2"), Voter: true}, {ID: "n3", Key: public("n3")},
	}}
	all := protocol.Infos{Machine: "m"}
	say := func(machine string, id audit.ReplicaID, key, signer string) {
		in := host.Info{Machine: machine, Replica: id, Key: public(key)}
		public(signer)
		in.Sign(keys[signer])
		all.Add(in)
	}
	say("m", "n2", "liar", "liar") // under a voter's name
	say("m", "n2", "n2", "liar")   // with its key, too
	say("m", "n1", "n1", "n1")
	say("m", "n1", "n1", "n1")
	say("m", "n3", "n3", "n3")     // an observer
	say("m", "n4", "liar", "liar") // a stranger
	say("other", "n2", "n2", "n2") // of another machine
	if got := protocol.OfVoters(all.List, members); len(got) != 1 || got[0].Replica != "n1" {
		t.Errorf("voters say %v", got)
	}
	say("m", "n2", "n2", "n2")
	if got := protocol.OfVoters(all.List, members); len(got) != 2 || got[1].Replica != "n2" {
		t.Errorf("voters say %v", got)
	}
}
