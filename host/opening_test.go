package host

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// voterSet is voters with keys that have all read the same.
type voterSet struct {
	panel audit.Members
	keys  []ed25519.PrivateKey
	at    ordering.Position
}

func newVoters(n int) *voterSet {
	v := &voterSet{panel: audit.Members{Seq: 1}}
	for i := range n {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
		v.keys = append(v.keys, key)
		v.panel.List = append(v.panel.List, audit.Member{ID: voterID(i), Key: key.Public().(ed25519.PublicKey), Voter: true})
	}
	return v
}

func voterID(i int) audit.ReplicaID { return audit.ReplicaID(fmt.Sprint("r", i)) }

// stand is what a voter states.
func (v *voterSet) stand(i int, next ordering.Epoch) audit.Stand {
	s := audit.Stand{Machine: "m", Replica: voterID(i), Last: v.at, Next: next}
	s.Sign(v.keys[i])
	return s
}

// A machine enters an epoch by a proof alone.
func TestMachineEntersByProof(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(v *voterSet, o *epochs.Opening, e *ordering.Entry)
		ok   bool
	}{
		"proof":         {func(*voterSet, *epochs.Opening, *ordering.Entry) {}, true},
		"later epoch":   {func(_ *voterSet, _ *epochs.Opening, e *ordering.Entry) { e.Epoch = 3 }, false},
		"one statement": {func(_ *voterSet, o *epochs.Opening, _ *ordering.Entry) { o.Stands = o.Stands[:1] }, false},
		"none":          {func(_ *voterSet, o *epochs.Opening, _ *ordering.Entry) { o.Stands = nil }, false},
		"other base":    {func(_ *voterSet, o *epochs.Opening, _ *ordering.Entry) { o.Base.Seq-- }, false},
		"other machine": {func(_ *voterSet, o *epochs.Opening, _ *ordering.Entry) { o.Machine = "other" }, false},
		"forged":        {func(_ *voterSet, o *epochs.Opening, _ *ordering.Entry) { o.Stands[0].Reason = "x" }, false},
		"operator":      {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, 0, "r0") }, true},
		"operator, two": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, 0, "r0", "r2") }, true},
		"not signed": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, 0, "r0")
			o.Recovery[0].Reason = "x"
		}, false},
		"by a stranger": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, 0, "r0")
			o.Recovery[0].Replica = "r9"
		}, false},
		"strangers go on": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, 0, "r0", "r9") }, false},
		"nobody goes on":  {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, 0) }, false},
		"no opening":      {func(_ *voterSet, _ *epochs.Opening, e *ordering.Entry) { e.Data = []byte("LSB1") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVoters(3)
			m := New("m", 0, nil)
			defer m.Close()
			m.members = v.panel
			for range 5 {
				at := m.Position()
				if _, err := m.Apply(ordering.Entry{Epoch: 1, Seq: at.Seq + 1, Data: []byte("a")}); err != nil {
					t.Fatal(err)
				}
				v.at = m.Position()
			}
			o := epochs.Opening{Machine: "m", Epoch: 2, Base: m.Position(), Stands: []audit.Stand{v.stand(0, 2), v.stand(2, 2)}}
			e := ordering.Entry{Epoch: 2, Seq: 6}
			c.harm(v, &o, &e)
			if e.Data == nil {
				e.Data = epochs.OpeningFormat.Encode(o)
			}
			before := m.Position()
			tr, err := m.Apply(e)
			if !c.ok {
				if !errors.Is(err, epochs.ErrNoOpening) || m.Position() != before {
					t.Errorf("err %v, at %v", err, m.Position())
				}
				return
			}
			if err != nil || tr.Opened == nil || m.Epoch() != 2 {
				t.Fatalf("%+v, %v", tr, err)
			}
			if n := len(o.Recovery); n > 0 && (m.Members().Voters() != len(o.Recovery[0].Voters) || m.Members().Seq != 6) {
				t.Errorf("members %+v", m.Members())
			}
			if _, err := m.Apply(ordering.Entry{Epoch: 1, Seq: 7}); err == nil {
				t.Error("went back an epoch")
			}
		})
	}
}

func recoverBy(v *voterSet, o *epochs.Opening, by int, voters ...audit.ReplicaID) {
	o.Stands = nil
	o.Recovery = []epochs.Recovery{{Replica: voterID(by), Voters: voters, Reason: "two of three burned"}}
	o.Sign(v.keys[by])
}
