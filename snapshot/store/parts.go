package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"lockstep/snapshot"
)

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
