package store

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"lockstep/snapshot"
)

// A checkpoint that somebody reads is not expired until all who hold it have let it go, or their time is over.
func TestHeldIsNotExpired(t *testing.T) {
	s := openStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(7, 7))
	m := newMachine("m")
	m.step(r)
	first := m.checkpoint()
	save(t, s, first)
	held := first.Manifest
	hold := func(holder uint64, d time.Duration) error { return s.Hold("m", held.Epoch, held.Seq, holder, d) }
	if err := s.Hold("m", held.Epoch, held.Seq+1, 1, time.Minute); !errors.Is(err, ErrNotFound) {
		t.Errorf("hold of a checkpoint that there is not: %v", err)
	}
	for _, holder := range []uint64{1, 2} {
		if err := hold(holder, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool {
		m.step(r)
		save(t, s, m.checkpoint())
		if err := s.Expire("m", Retention{Newest: 1, Agreed: m.seq}); err != nil {
			t.Fatal(err)
		}
		list, err := s.List("m")
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Seq == held.Seq
	}
	if !there() {
		t.Fatal("a checkpoint was expired that two hold")
	}
	if got := s.Fetchers("m"); got != 2 {
		t.Errorf("%d fetchers, want 2", got)
	}
	if got := s.Fetchers("n"); got != 0 {
		t.Errorf("%d fetchers of another machine", got)
	}
	if err := hold(2, 0); err != nil {
		t.Fatal(err)
	}
	if !there() {
		t.Fatal("a checkpoint was expired that one still holds")
	}
	if err := hold(1, 0); err != nil {
		t.Fatal(err)
	}
	if there() {
		t.Error("a checkpoint is kept that nobody holds")
	}
	if err := hold(1, time.Minute); !errors.Is(err, ErrNotFound) {
		t.Errorf("hold of an expired checkpoint: %v", err)
	}
}

// Nobody holds a checkpoint for ever, and it may be held again after as long a while.
func TestHoldsEnd(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	var h holds
	man := snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 2}
	key := string(manifestKey("m", 1, 2))
	held := func(at time.Time) bool { return h.held([]snapshot.Manifest{man}, at)[0] }
	h.take(key, 1, began, time.Minute)
	if !held(began.Add(59*time.Second)) || held(began.Add(time.Minute)) {
		t.Error("a hold of a minute does not last a minute")
	}
	at := began
	for ; at.Sub(began) <= 3*time.Hour; at = at.Add(50 * time.Second) {
		holder := uint64(at.Unix()%2 + 1) // another one begins for no new hour
		if !h.renew(key, holder, at, time.Minute) {
			h.take(key, holder, at, time.Minute)
		}
		if want := at.Sub(began) <= maxHold; held(at) != want {
			t.Fatalf("after %v: held %v, want %v", at.Sub(began), !want, want)
		}
	}
	at = at.Add(time.Minute)
	if h.renew(key, 1, at, time.Minute) {
		t.Error("one that ran out is renewed")
	}
	if h.take(key, 1, at, time.Minute); !held(at) {
		t.Error("a checkpoint that nobody held for long cannot be held again")
	}
	h.forget([]snapshot.Manifest{man})
	if len(h.of) != 0 {
		t.Error("a checkpoint that is gone is remembered")
	}
}

// Who holds all that there is under many names neither fills the disk nor has the checkpoint expire that another needs.
func TestHoldsAreBounded(t *testing.T) {
	const checkpoints, honest = 3 * maxHeld, 1
	s := openStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(7, 8))
	m := newMachine("m")
	var wanted, newest snapshot.Manifest
	for i := range checkpoints {
		m.step(r)
		c := m.checkpoint()
		save(t, s, c)
		newest = c.Manifest
		for holder := range uint64(4 * maxHolders) {
			if err := s.Hold("m", newest.Epoch, newest.Seq, 1000+holder, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if i == checkpoints-maxHeld+1 {
			wanted = newest
		}
		if wanted.Seq > 0 {
			if err := s.Hold("m", wanted.Epoch, wanted.Seq, honest, time.Minute); err != nil {
				t.Fatalf("hold with %d others: %v", 4*maxHolders, err)
			}
		}
		if err := s.Expire("m", Retention{Newest: 1, Agreed: m.seq}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List("m")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != maxHeld {
		t.Errorf("%d checkpoints are kept, want %d", len(list), maxHeld)
	}
	if list[1].Seq != wanted.Seq {
		t.Errorf("the second kept is at seq %d, want the one that is needed, %d", list[1].Seq, wanted.Seq)
	}
	if got, most := s.Fetchers("m"), maxHeld*(maxHolders+1); got > most {
		t.Errorf("%d holders are told apart, want at most %d", got, most)
	}
	// The others all let go: one that was not told from them does not lose it.
	for holder := range uint64(4 * maxHolders) {
		if err := s.Hold("m", wanted.Epoch, wanted.Seq, 1000+holder, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Hold("m", wanted.Epoch, wanted.Seq, 0, 0), s.Expire("m", Retention{Newest: 1, Agreed: m.seq})); err != nil {
		t.Fatal(err)
	}
	if there, err := s.has(manifestKey("m", wanted.Epoch, wanted.Seq)); err != nil || !there {
		t.Errorf("the checkpoint that is needed expired: %v", err)
	}
}
