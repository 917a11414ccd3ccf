package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Retention says which checkpoints of a machine are kept.
type Retention struct {
	Newest int // so many of the newest
	// Agreed is where a majority is known to have stored the same state, 0 if nowhere. The newest checkpoint that is not after
	// it is kept too, or the oldest if there is none: while those after it differ, nobody can go on from another.
	Agreed ordering.Seq
}

// Keeps tells which checkpoints are kept of those at these seqs, oldest first.
func (k Retention) Keeps(seqs []ordering.Seq) []bool {
	keeps, agreed := make([]bool, len(seqs)), 0
	for i, seq := range seqs {
		keeps[i] = i >= len(seqs)-k.Newest
		if seq <= k.Agreed {
			agreed = i
		}
	}
	if len(seqs) > 0 {
		keeps[agreed] = true
	}
	return keeps
}

// Expire drops a machine's checkpoints that are neither to be kept nor held, and the parts that none of the others has.
func (s *Store) Expire(machine string, keep Retention) error {
	// Not synced: what a crash brings back is dropped the next time.
	return s.drop(machine, pebble.NoSync, func(list []snapshot.Manifest) []bool {
		seqs := make([]ordering.Seq, len(list))
		for i, man := range list {
			seqs[i] = man.Seq
		}
		keeps := keep.Keeps(seqs)
		for i, held := range s.holds.held(list, time.Now()) {
			keeps[i] = keeps[i] || held
		}
		return keeps
	})
}

// Discard drops, durably, a machine's checkpoints that are not to be kept, held or not, as those of
// a log whose tail was given up.
func (s *Store) Discard(machine string, keep func(snapshot.Manifest) bool) error {
	return s.drop(machine, pebble.Sync, func(list []snapshot.Manifest) []bool {
		keeps := make([]bool, len(list))
		for i, man := range list {
			keeps[i] = keep(man)
		}
		return keeps
	})
}

// drop removes the checkpoints of a machine that are not to be kept, of all that there are, oldest first.
func (s *Store) drop(machine string, sync *pebble.WriteOptions, keep func(list []snapshot.Manifest) []bool) error {
	s.changing.RLock()
	defer s.changing.RUnlock()
	s.holds.expiring.Lock()
	defer s.holds.expiring.Unlock()
	list, err := s.List(machine)
	if err != nil {
		return err
	}
	var gone, kept []snapshot.Manifest
	keeps := keep(list)
	for i, man := range list {
		if keeps[i] {
			kept = append(kept, man)
		} else {
			gone = append(gone, man)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.remove(machine, gone, kept, sync); err != nil {
		return err
	}
	s.holds.forget(gone)
	return nil
}

func (s *Store) remove(machine string, gone, kept []snapshot.Manifest, sync *pebble.WriteOptions) (err error) {
	batch := s.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	for _, man := range gone {
		if err := batch.Delete(manifestKey(machine, man.Epoch, man.Seq), nil); err != nil {
			return fmt.Errorf("expire checkpoint: %w", err)
		}
		var others []snapshot.Ref
		for _, k := range kept {
			others = append(others, snapshot.Ref{Level: snapshot.Levels, Digest: k.Pages})
		}
		e := expirer{s: s, machine: machine, batch: batch}
		if err := e.drop(snapshot.Ref{Level: snapshot.Levels, Digest: man.Pages}, others); err != nil {
			return fmt.Errorf("expire checkpoint at seq %d: %w", man.Seq, err)
		}
	}
	return batch.Commit(sync)
}

type expirer struct {
	s       *Store
	machine string
	batch   *pebble.Batch
}

// drop deletes a part and what is below it, except what one of the others has
// in the same place.
func (e *expirer) drop(p snapshot.Ref, others []snapshot.Ref) error {
	if p.Digest == (audit.Digest{}) || p.Level == 0 && p.Digest == snapshot.ZeroPage {
		return nil
	}
	for _, o := range others {
		if o.Digest == p.Digest {
			return nil
		}
	}
	if p.Level > 0 {
		if err := e.dropBelow(p, others); err != nil {
			return err
		}
	}
	return e.batch.Delete(partKey(e.machine, p), nil)
}

func (e *expirer) dropBelow(p snapshot.Ref, others []snapshot.Ref) error {
	encoded, err := e.s.get(partKey(e.machine, p))
	if errors.Is(err, ErrNotFound) {
		return nil // an older checkpoint that shared it has dropped it already
	}
	if err != nil {
		return err
	}
	var nodes [][]byte
	for _, o := range others {
		if o.Digest == (audit.Digest{}) {
			continue
		}
		n, err := e.s.get(partKey(e.machine, o))
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	below := make([]snapshot.Ref, len(nodes))
	for i := range uint32(snapshot.Fanout) {
		for j, n := range nodes {
			below[j] = snapshot.Child(p, n, i)
		}
		if err := e.drop(snapshot.Child(p, encoded, i), below); err != nil {
			return err
		}
	}
	return nil
}
