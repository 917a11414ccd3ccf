package store

import (
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/ordering"
	"lockstep/snapshot"
)

// holds keeps checkpoints from expiring that others are fetching. They are not
// durable: whoever fetches from a store that was closed asks again.
type holds struct {
	expiring sync.Mutex // held while a checkpoint is dropped, and while one is first held

	mu sync.Mutex
	of map[string]*hold // by a checkpoint's key, of those that are there and were ever held
}

// hold is who needs a checkpoint, and until when.
type hold struct {
	since time.Time // the first hold of it
	until map[uint64]time.Time
}

// Limits of holding, so that whoever asks cannot fill the disk, nor keep others from being given a state.
const (
	maxHeld    = 8         // checkpoints of a machine that are kept because they are held: the newest
	maxHolders = 32        // of a checkpoint that are told apart; the others count as holder 0
	maxHold    = time.Hour // since a checkpoint was first held
)

// Hold keeps a checkpoint from expiring for so long from now, for one of those who
// need it; 0 lets it go. A later Hold replaces the holder's earlier one. The
// checkpoint expires when nobody holds it. Holder 0 is whoever is not told from others: it
// does not let go. ErrNotFound says that the checkpoint is not there.
func (s *Store) Hold(machine string, epoch ordering.Epoch, seq ordering.Seq, holder uint64, d time.Duration) error {
	manifest := manifestKey(machine, epoch, seq)
	now := time.Now()
	if d <= 0 {
		s.holds.release(string(manifest), holder)
		return nil
	}
	if s.holds.renew(string(manifest), holder, now, d) {
		return nil
	}
	s.holds.expiring.Lock()
	defer s.holds.expiring.Unlock()
	if there, err := s.has(manifest); err != nil {
		return err
	} else if !there {
		return ErrNotFound
	}
	s.holds.take(string(manifest), holder, now, d)
	return nil
}

func (h *holds) release(manifest string, holder uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.of[manifest]; held != nil && holder != 0 {
		delete(held.until, holder)
	}
}

// renew makes a hold last longer, and reports whether the checkpoint was held, and so is there.
func (h *holds) renew(manifest string, holder uint64, now time.Time, d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := h.of[manifest]
	if held == nil || !held.at(now) {
		return false
	}
	held.extend(holder, now, d)
	return true
}

func (h *holds) take(manifest string, holder uint64, now time.Time, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[string]*hold)
	}
	if h.of[manifest] == nil {
		h.of[manifest] = &hold{now, make(map[uint64]time.Time)}
	}
	h.of[manifest].extend(holder, now, d)
}

func (h *hold) extend(holder uint64, now time.Time, d time.Duration) {
	for other, until := range h.until {
		if !now.Before(until) {
			delete(h.until, other)
		}
	}
	if len(h.until) == 0 && now.Sub(h.since) > 2*maxHold {
		h.since = now // it could have expired meanwhile
	}
	if _, ok := h.until[holder]; !ok && len(h.until) >= maxHolders {
		holder = 0
	}
	h.until[holder] = now.Add(d)
}

// at reports whether anybody holds it.
func (h *hold) at(now time.Time) bool {
	if now.Sub(h.since) > maxHold {
		return false
	}
	for _, until := range h.until {
		if now.Before(until) {
			return true
		}
	}
	return false
}

// held tells which of a machine's checkpoints, oldest first, must stay.
func (h *holds) held(list []snapshot.Manifest, now time.Time) []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	stays, left := make([]bool, len(list)), maxHeld
	for i, man := range slices.Backward(list) {
		held := h.of[string(manifestKey(man.Machine, man.Epoch, man.Seq))]
		if stays[i] = left > 0 && held != nil && held.at(now); stays[i] {
			left--
		}
	}
	return stays
}

// forget is told of checkpoints that are dropped.
func (h *holds) forget(gone []snapshot.Manifest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, man := range gone {
		delete(h.of, string(manifestKey(man.Machine, man.Epoch, man.Seq)))
	}
}

// Fetchers is how many hold checkpoints of a machine.
func (s *Store) Fetchers(machine string) (n int) {
	prefix, now := string(manifestPrefix(machine)), time.Now()
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	for manifest, held := range s.holds.of {
		if !strings.HasPrefix(manifest, prefix) {
			continue
		}
		for _, until := range held.until {
			if now.Before(until) {
				n++
			}
		}
	}
	return n
}
