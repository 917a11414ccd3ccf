package host

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
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
		"base before a longer one": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			// The statements prove that the epoch goes on one entry later.
			next := v.at.Next(ordering.Entry{Epoch: 1, Seq: v.at.Seq + 1, Data: []byte("a")})
			for i := range o.Stands {
				o.Stands[i].Last, o.Stands[i].Points = next, []ordering.Position{v.at}
				o.Stands[i].Sign(v.key(o.Stands[i].Replica))
			}
		}, false},
		"operator": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, "r0") }, true},
		"not signed": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Recovery[0].Reason = "x"
		}, false},
		"by a stranger": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Recovery[0].Replica = "r9"
		}, false},
		"by one that does not go on": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Stands = []audit.Stand{v.stand(1, 2)}
			o.Recovery[0].Voters = []audit.ReplicaID{"r1"}
			o.Recovery[0].Sign(v.keys[0])
		}, false},
		"one that goes on has not stopped": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Stands[0] = v.stand(0, 0)
		}, false},
		"one that goes on is elsewhere": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Stands[0].Last = v.at.Next(ordering.Entry{Epoch: 1, Seq: v.at.Seq + 1, Data: []byte("b")})
			o.Stands[0].Sign(v.keys[0])
		}, false},
		"of another base": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) {
			recoverBy(v, o, "r0")
			o.Recovery[0].Base.Seq--
			o.Recovery[0].Sign(v.keys[0])
		}, false},
		"statements decide": {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, "r0", "r2") }, false},
		"strangers go on":   {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o, "r0", "r9") }, false},
		"nobody goes on":    {func(v *voterSet, o *epochs.Opening, _ *ordering.Entry) { recoverBy(v, o) }, false},
		"no opening":        {func(_ *voterSet, _ *epochs.Opening, e *ordering.Entry) { e.Data = []byte("LSB1") }, false},
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

// recoverBy makes the opening one by an operator's word, with those that go on, of whom the first goes ahead.
func recoverBy(v *voterSet, o *epochs.Opening, voters ...audit.ReplicaID) {
	o.Stands = nil
	for i := range v.keys {
		if slices.Contains(voters, voterID(i)) {
			o.Stands = append(o.Stands, v.stand(i, o.Epoch))
		}
	}
	r := epochs.Recovery{Machine: o.Machine, Epoch: o.Epoch, Base: o.Base, Replica: voterID(0), Voters: voters, Reason: "two of three burned"}
	r.Sign(v.keys[0])
	o.Recovery = []epochs.Recovery{r}
}

func (v *voterSet) key(id audit.ReplicaID) ed25519.PrivateKey {
	return v.keys[slices.IndexFunc(v.panel.List, func(m audit.Member) bool { return m.ID == id })]
}

// What an operator decided is in the state, of the newest epochs, and comes back with a checkpoint.
func TestRecoveriesAreKept(t *testing.T) {
	v := newVoters(3)
	m := New("m", 0, nil)
	defer m.Close()
	m.members = v.panel
	for epoch := ordering.Epoch(2); epoch < maxRecoveries+5; epoch++ {
		v.at, m.members = m.Position(), v.panel
		o := epochs.Opening{Machine: "m", Epoch: epoch, Base: v.at}
		recoverBy(v, &o, "r0")
		if _, err := m.Apply(ordering.Entry{Epoch: epoch, Seq: v.at.Seq + 1, Data: epochs.OpeningFormat.Encode(o)}); err != nil {
			t.Fatal(err)
		}
	}
	kept := m.Recoveries()
	if len(kept) != maxRecoveries || kept[len(kept)-1].Epoch != maxRecoveries+4 || kept[0].Epoch != 5 {
		t.Fatalf("%d kept, epochs %d to %d", len(kept), kept[0].Epoch, kept[len(kept)-1].Epoch)
	}
	var back system
	if err := back.decode(m.system.encode()); err != nil || !bytes.Equal(back.encode(), m.system.encode()) || len(back.recoveries) != len(kept) {
		t.Errorf("%v, %d recoveries are left", err, len(back.recoveries))
	}
}
