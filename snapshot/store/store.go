// Package store keeps checkpoints on disk, those of all machines of a node in
// one Pebble database.
//
// A checkpoint is a manifest and the parts of its state, nodes of the page tree
// and pages, each under its machine, place and digest. What a checkpoint has in
// common with the ones before is there already and is not written again, so
// that saving and expiring follow what changed and not the size of the state.
//
//	d machine 0 level index digest → the part; pages are compressed with zstd
//	m machine 0 epoch seq          → the manifest
//
// A manifest is written last, in one synced batch with the parts that it needs,
// so that after a crash at any moment every manifest that is there is whole.
// What is read is checked against its digest; a part that went bad is told by a
// CorruptError, and Rebuild leaves it behind.
//
// A disk that is full is an error of Save, a *FullError, before it can be one of
// Pebble, which does not survive it; see room.go.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/klauspost/compress/zstd"

	"lockstep/ordering"
	"lockstep/snapshot"
)

// ErrNotFound says that there is no such checkpoint or part.
var ErrNotFound = errors.New("not in the store")

// ErrInUse is returned by Open for a store that another process has open.
var ErrInUse = errors.New("checkpoint store is in use by another process")

// Store is safe for concurrent use; checkpoints of one machine are saved and
// expired one at a time.
type Store struct {
	enc *zstd.Encoder
	dec *zstd.Decoder

	changing sync.RWMutex // held by Rebuild against saves and expiry; before reading
	reading  sync.RWMutex // guards db and room against being swapped
	db       *pebble.DB
	room     *room

	holds holds
}

// Open opens the store in a folder, which it makes if it is not there. A *FullError
// says that the disk is too full to.
func Open(dir string) (*Store, error) { return open(dir, vfs.Default, false) }

// OpenReadOnly opens a store that is there to look at, and changes nothing.
func OpenReadOnly(dir string) (*Store, error) {
	if there, err := pebble.Peek(dir, vfs.Default); err != nil || !there.Exists {
		return nil, errors.Join(fmt.Errorf("open checkpoint store %s: %w", dir, fs.ErrNotExist), err)
	}
	return open(dir, vfs.Default, true)
}

func open(dir string, files vfs.FS, readOnly bool) (*Store, error) {
	if !readOnly {
		if err := settle(files, dir); err != nil {
			return nil, fmt.Errorf("settle store %s: %w", dir, err)
		}
	}
	room := newRoom(dir, files)
	if !readOnly {
		if err := room.open(); err != nil {
			return nil, err
		}
	}
	opts := &pebble.Options{
		FS: room.guard(), ReadOnly: readOnly,
		Logger: quiet{},
		// What rots is an error of who reads it, and not the end of the process.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
		CacheSize:     8 << 20,
		MemTableSize:  memTable,
	}
	opts.Levels[0].BlockSize = 64 << 10                                                                    // sixteen pages: who transfers reads those that follow one another
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone }) // pages are compressed, nodes cannot be
	db, err := pebble.Open(dir, opts)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("open %s: %w", dir, ErrInUse)
	}
	if err != nil {
		return nil, err
	}
	if !readOnly {
		room.reserve()
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false)) // the digest tells what a checksum would
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, room: room, enc: enc, dec: dec}, nil
}

// Close ends the store. Saves that are under way must have ended.
func (s *Store) Close() error {
	s.dec.Close()
	return s.db.Close()
}

// quiet drops Pebble's progress reports; its errors are returned by its calls.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("checkpoint store: "+format, args...))
}

func partKey(machine string, p snapshot.Ref) []byte {
	k := append(append([]byte{'d'}, machine...), 0, p.Level)
	k = binary.BigEndian.AppendUint32(k, p.Index)
	return append(k, p.Digest[:]...)
}

func manifestPrefix(machine string) []byte { return append(append([]byte{'m'}, machine...), 0) }

func manifestKey(machine string, epoch ordering.Epoch, seq ordering.Seq) []byte {
	k := binary.BigEndian.AppendUint64(manifestPrefix(machine), uint64(epoch))
	return binary.BigEndian.AppendUint64(k, uint64(seq))
}

// Machines lists the machines of which there are checkpoints, ascending.
func (s *Store) Machines() (names []string, err error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{'m'}, UpperBound: []byte{'m' + 1}})
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; {
		name, _, _ := bytes.Cut(it.Key()[1:], []byte{0})
		names = append(names, string(name))
		ok = it.SeekGE(append([]byte("m"+string(name)), 1))
	}
	return names, it.Error()
}

// get reads a value; the caller owns it.
func (s *Store) get(key []byte) ([]byte, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	owned := append([]byte(nil), v...)
	return owned, closer.Close()
}

func (s *Store) has(key []byte) (bool, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	_, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read store: %w", err)
	}
	return true, closer.Close()
}

// Part returns a node or page of any checkpoint that is kept.
func (s *Store) Part(machine string, p snapshot.Ref) ([]byte, error) {
	v, err := s.get(partKey(machine, p))
	if errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, &CorruptError{machine, p, err}
	}
	return s.checked(machine, p, v)
}

// checked is a part as it was before it was stored, or a *CorruptError.
func (s *Store) checked(machine string, p snapshot.Ref, stored []byte) (part []byte, err error) {
	part = stored
	digest := snapshot.NodeDigest
	if p.Level == 0 {
		digest = snapshot.PageDigest
		if part, err = s.dec.DecodeAll(stored, nil); err != nil {
			return nil, &CorruptError{machine, p, err}
		}
	}
	if digest(part) != p.Digest {
		return nil, &CorruptError{machine, p, snapshot.ErrWrongBytes}
	}
	return part, nil
}

// Manifest returns the manifest of one checkpoint.
func (s *Store) Manifest(machine string, epoch ordering.Epoch, seq ordering.Seq) (snapshot.Manifest, error) {
	v, err := s.get(manifestKey(machine, epoch, seq))
	if err != nil {
		return snapshot.Manifest{}, err
	}
	return snapshot.DecodeManifest(v)
}

// List returns the manifests of a machine's checkpoints, oldest first.
func (s *Store) List(machine string) (list []snapshot.Manifest, err error) {
	prefix := manifestPrefix(machine)
	s.reading.RLock()
	defer s.reading.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(prefix[:len(prefix)-1:len(prefix)-1], 1)})
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		man, err := snapshot.DecodeManifest(it.Value())
		if err != nil {
			return nil, fmt.Errorf("list checkpoints: %w", err)
		}
		list = append(list, man)
	}
	return list, it.Error()
}
