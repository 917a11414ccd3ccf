package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lockstep/ordering"
	"lockstep/snapshot"
)

// holds keeps checkpoints from expiring that others are fetching. They are not
// durable: whoever fetches from a store that was closed asks again.
type holds struct {
	expiring sync.Mutex // held while a checkpoint is dropped, and while one is first held

	mu    sync.Mutex
	until map[holding]hold
}

// holding is who holds which checkpoint.
type holding struct {
	manifest string // its key
	holder   uint64
}

type hold struct{ since, until time.Time }

// Limits of holding, so that whoever asks cannot fill the disk.
const (
	maxHolds = 32        // of all machines and holders
	maxHold  = time.Hour // since a holder first held a checkpoint
)

// ErrHeld says that too many checkpoints are held already, or this one was for
// too long.
var ErrHeld = errors.New("checkpoint cannot be held")

// Hold keeps a checkpoint from expiring for so long from now, for one of those who
// need it; 0 lets it go. A later Hold replaces the holder's earlier one. The
// checkpoint expires when nobody holds it. ErrNotFound says that it is not there.
func (s *Store) Hold(machine string, epoch ordering.Epoch, seq ordering.Seq, holder uint64, d time.Duration) error {
	manifest := manifestKey(machine, epoch, seq)
	key := holding{string(manifest), holder}
	now := time.Now()
	if d <= 0 {
		s.holds.release(key)
		return nil
	}
	if held, err := s.holds.renew(key, now, d); held || err != nil {
		return err
	}
	s.holds.expiring.Lock()
	defer s.holds.expiring.Unlock()
	if there, err := s.has(manifest); err != nil {
		return err
	} else if !there {
		return ErrNotFound
	}
	return s.holds.take(key, now, d)
}

func (h *holds) release(key holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.until, key)
}

// renew makes a hold last longer, and reports whether there was one.
func (h *holds) renew(key holding, now time.Time, d time.Duration) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.until[key]
	if !ok || held.until.Before(now) {
		return false, nil
	}
	if now.Sub(held.since) > maxHold {
		return false, fmt.Errorf("%w: it was for %v", ErrHeld, maxHold)
	}
	held.until = now.Add(d)
	h.until[key] = held
	return true, nil
}

func (h *holds) take(key holding, now time.Time, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, held := range h.until {
		if held.until.Before(now) {
			delete(h.until, k)
		}
	}
	if len(h.until) >= maxHolds {
		return fmt.Errorf("%w: %d are", ErrHeld, maxHolds)
	}
	if h.until == nil {
		h.until = make(map[holding]hold)
	}
	h.until[key] = hold{now, now.Add(d)}
	return nil
}

// held reports whether a checkpoint must stay.
func (h *holds) held(man snapshot.Manifest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	manifest, now := string(manifestKey(man.Machine, man.Epoch, man.Seq)), time.Now()
	for k, held := range h.until {
		if k.manifest == manifest && now.Before(held.until) {
			return true
		}
	}
	return false
}

// Parts gives parts of any checkpoints that are kept, in order, as they stand in
// the store and unchecked: a node as it is, a page as a zstd frame, nil where
// there is none. It ends when give returns false. Parts in ascending order of
// level and index are found fastest.
func (s *Store) Parts(machine string, refs []snapshot.Ref, give func(part []byte) bool) (err error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: partPrefix(machine, 0), UpperBound: partPrefix(machine, 1)})
	if err != nil {
		return fmt.Errorf("read parts: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	key := partPrefix(machine, 0)
	for _, p := range refs {
		key = append(key[:len(machine)+2], p.Level)
		key = append(binary.BigEndian.AppendUint32(key, p.Index), p.Digest[:]...)
		var part []byte
		if it.SeekGE(key) && bytes.Equal(it.Key(), key) {
			if part, err = it.ValueAndErr(); err != nil {
				return fmt.Errorf("read part: %w", err)
			}
		}
		if err := it.Error(); err != nil {
			return fmt.Errorf("read part: %w", err)
		}
		if !give(part) {
			return nil
		}
	}
	return nil
}

// partPrefix is what the keys of a machine's parts begin with, or at end 1 what
// follows all of them.
func partPrefix(machine string, end byte) []byte {
	return append(append([]byte{'d'}, machine...), end)
}
