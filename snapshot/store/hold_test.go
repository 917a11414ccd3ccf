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
	for holder := range uint64(2) {
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
	if err := hold(0, 0); err != nil {
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

// Nobody holds a checkpoint for ever, nor do many take all that may be held.
func TestHoldsAreBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var h holds
	key := func(holder uint64) holding { return holding{"a", holder} }
	for i := range uint64(maxHolds) {
		if err := h.take(key(i), now, time.Minute); err != nil {
			t.Fatalf("hold %d of %d: %v", i, maxHolds, err)
		}
	}
	if err := h.take(key(maxHolds), now, time.Minute); !errors.Is(err, ErrHeld) {
		t.Errorf("one hold more: %v", err)
	}
	for at := now; ; at = at.Add(50 * time.Second) {
		held, err := h.renew(key(0), at, time.Minute)
		if at.Sub(now) > maxHold {
			if held || !errors.Is(err, ErrHeld) {
				t.Errorf("after %v it is renewed: %v, %v", at.Sub(now), held, err)
			}
			now = at
			break
		}
		if !held || err != nil {
			t.Fatalf("after %v it is not renewed: %v, %v", at.Sub(now), held, err)
		}
	}
	if held, err := h.renew(key(1), now, time.Minute); held || err != nil {
		t.Errorf("one that ran out is renewed: %v, %v", held, err)
	}
	if err := h.take(key(maxHolds), now.Add(2*time.Minute), time.Minute); err != nil {
		t.Errorf("others ran out, and there is no room: %v", err)
	}
	past := holds{until: map[holding]hold{{string(manifestKey("m", 1, 2)), 1}: {now, time.Now().Add(-time.Second)}}}
	if past.held(snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 2}) {
		t.Error("a hold that ran out holds")
	}
}
