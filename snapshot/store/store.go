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
// What is read is checked against its digest.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/zstd"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// ErrNotFound says that there is no such checkpoint or part.
var ErrNotFound = errors.New("not in the store")

// CorruptError says that a part has other bytes than its digest tells. The
// checkpoint it belongs to cannot be used.
type CorruptError struct {
	Machine string
	Part    snapshot.Ref
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("part of machine %s at level %d, index %d is corrupt on disk", e.Machine, e.Part.Level, e.Part.Index)
}

// ErrIncomplete says that a checkpoint builds on pages that the store does not
// have. The next one must carry all of its pages.
var ErrIncomplete = errors.New("checkpoint builds on pages that are not in the store")

// Store is safe for concurrent use; checkpoints of one machine are saved and
// expired one at a time.
type Store struct {
	db  *pebble.DB
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// Open opens the store in a folder, which it makes if it is not there.
func Open(dir string) (*Store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		Logger:       quiet{},
		CacheSize:    8 << 20,
		MemTableSize: 8 << 20,
	})
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, enc: enc, dec: dec}, nil
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

// get reads a value; the caller owns it.
func (s *Store) get(key []byte) ([]byte, error) {
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
	if err != nil {
		return nil, err
	}
	if p.Level == 0 {
		if v, err = s.dec.DecodeAll(v, nil); err != nil {
			return nil, &CorruptError{machine, p}
		}
	}
	digest := snapshot.NodeDigest
	if p.Level == 0 {
		digest = snapshot.PageDigest
	}
	if digest(v) != p.Digest {
		return nil, &CorruptError{machine, p}
	}
	return v, nil
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

// saveBatch is how many bytes are written before the last batch, unsynced, so
// that a large checkpoint does not stand in memory twice.
const saveBatch = 4 << 20

// Save makes a checkpoint durable. It writes the parts that are not there, and
// the manifest last. ErrIncomplete leaves the store as it was but for parts
// that nothing refers to.
func (s *Store) Save(ctx context.Context, c *snapshot.Checkpoint) (err error) {
	w := &saver{s: s, c: c, batch: s.db.NewBatch(), changed: make(map[uint32][]byte, len(c.Changed))}
	defer func() { err = errors.Join(err, w.batch.Close()) }()
	for _, p := range c.Changed {
		w.changed[p.Index] = p.Data
	}
	if c.Manifest.Size > 0 {
		if err := w.node(ctx, snapshot.Ref{Level: snapshot.Levels, Digest: c.Manifest.Pages}); err != nil {
			return fmt.Errorf("save checkpoint at seq %d: %w", c.Manifest.Seq, err)
		}
	}
	key := manifestKey(c.Manifest.Machine, c.Manifest.Epoch, c.Manifest.Seq)
	if err := w.batch.Set(key, c.Manifest.Encode(), nil); err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	if err := w.batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("save checkpoint at seq %d: %w", c.Manifest.Seq, err)
	}
	return nil
}

// saver writes one checkpoint.
type saver struct {
	s       *Store
	c       *snapshot.Checkpoint
	batch   *pebble.Batch
	changed map[uint32][]byte
}

// node writes what is below a node and then the node. One that is there is
// there with all that is below it.
func (w *saver) node(ctx context.Context, p snapshot.Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key := partKey(w.c.Manifest.Machine, p)
	if there, err := w.s.has(key); there || err != nil {
		return err
	}
	encoded := w.c.Tree.Node(int(p.Level), p.Index)
	for i := range uint32(snapshot.Fanout) {
		child := snapshot.Child(p, encoded, i)
		var err error
		switch {
		case child.Digest == audit.Digest{}:
		case child.Level > 0:
			err = w.node(ctx, child)
		default:
			err = w.page(child)
		}
		if err != nil {
			return err
		}
	}
	return w.put(key, encoded)
}

func (w *saver) page(p snapshot.Ref) error {
	if p.Digest == snapshot.ZeroPage {
		return nil
	}
	key := partKey(w.c.Manifest.Machine, p)
	if there, err := w.s.has(key); there || err != nil {
		return err
	}
	data, ok := w.changed[p.Index]
	if !ok || snapshot.PageDigest(data) != p.Digest {
		return fmt.Errorf("page %d: %w", p.Index, ErrIncomplete)
	}
	return w.put(key, w.s.enc.EncodeAll(data, nil))
}

// put adds to the batch. A batch that grew large is written: parts before the
// nodes above them, so that a node is never there without what is below it.
func (w *saver) put(key, value []byte) error {
	if err := w.batch.Set(key, value, nil); err != nil {
		return err
	}
	if w.batch.Len() < saveBatch {
		return nil
	}
	if err := w.batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	err := w.batch.Close()
	w.batch = w.s.db.NewBatch()
	return err
}

// Restore hands to patch the pages in which a checkpoint differs from the local
// memory, in batches. The local tree must cover the manifest's size.
func (s *Store) Restore(man snapshot.Manifest, local *snapshot.Tree, patch func([]snapshot.Page) error) error {
	const batch = 256
	walk := snapshot.NewWalk(local.View(), man.Pages, man.Size)
	for !walk.Done() {
		for _, q := range walk.Nodes(batch) {
			encoded, err := s.Part(man.Machine, q)
			if err != nil {
				return fmt.Errorf("restore node: %w", err)
			}
			if err := walk.Give(q, encoded); err != nil {
				return err
			}
		}
		var pages []snapshot.Page
		for _, q := range walk.Pages(batch) {
			data := zeroPage[:]
			if q.Digest != snapshot.ZeroPage {
				var err error
				if data, err = s.Part(man.Machine, q); err != nil {
					return fmt.Errorf("restore page: %w", err)
				}
			}
			pages = append(pages, snapshot.Page{Index: q.Index, Data: data})
		}
		if len(pages) > 0 {
			if err := patch(pages); err != nil {
				return err
			}
		}
	}
	return nil
}

var zeroPage [snapshot.PageSize]byte
