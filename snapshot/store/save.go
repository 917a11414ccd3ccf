package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"lockstep/audit"
	"lockstep/snapshot"
)

// saveBatch is how many bytes are written before the last batch, unsynced, so
// that a large checkpoint does not stand in memory twice. Pebble copies a batch of less than half a
// memTable, so that one is filled again and again; a larger one it takes for its own.
const saveBatch = 512 << 10

// Save makes a checkpoint durable. It writes the parts that are not there, and
// the manifest last. An error leaves the checkpoints that there were as they
// were; a *FullError says that there is no room. The caller releases c.Memory.
func (s *Store) Save(ctx context.Context, c *snapshot.Checkpoint) error {
	s.changing.RLock()
	defer s.changing.RUnlock()
	return s.write(ctx, c.Manifest, frozen{c})
}

// origin is where the parts of a checkpoint that is saved come from.
type origin interface {
	node(snapshot.Ref) ([]byte, error)
	page(snapshot.Ref) ([]byte, error) // indexes ascend from call to call
}

// frozen gives the parts of a machine's checkpoint.
type frozen struct{ *snapshot.Checkpoint }

func (f frozen) node(p snapshot.Ref) ([]byte, error) { return f.Tree.Node(int(p.Level), p.Index), nil }

func (f frozen) page(p snapshot.Ref) ([]byte, error) {
	data := f.Memory.Page(p.Index)
	if err := snapshot.CheckPage(p, data); err != nil {
		// Memory rot, or a mistake of ours; either way not to be kept.
		return nil, fmt.Errorf("read memory: %w", err)
	}
	return data, nil
}

// write saves a checkpoint. The caller holds changing.
func (s *Store) write(ctx context.Context, man snapshot.Manifest, from origin) (err error) {
	w := &saver{s: s, machine: man.Machine, from: from, batch: s.newBatch()}
	defer func() { err = errors.Join(err, w.batch.Close()) }()
	if man.Size > 0 {
		if err := w.root(ctx, snapshot.Ref{Level: snapshot.Levels, Digest: man.Pages}); err != nil {
			return fmt.Errorf("save checkpoint at seq %d: %w", man.Seq, err)
		}
	}
	if err := w.batch.Set(manifestKey(man.Machine, man.Epoch, man.Seq), man.Encode(), nil); err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	if err := w.commit(pebble.Sync); err != nil {
		return fmt.Errorf("save checkpoint at seq %d: %w", man.Seq, err)
	}
	return nil
}

// saver writes one checkpoint.
type saver struct {
	s       *Store
	machine string
	from    origin
	batch   *pebble.Batch
	packed  []byte
}

func (s *Store) newBatch() *pebble.Batch {
	const size = saveBatch + 2*snapshot.PageSize // the last part goes beyond
	return s.db.NewBatchWithSize(size, pebble.WithMaxRetainedSizeBytes(size))
}

// root writes the root node unless it is there: one that is there is there with all that
// is below it.
func (w *saver) root(ctx context.Context, p snapshot.Ref) error {
	there, err := w.s.has(partKey(w.machine, p))
	if err != nil {
		return &CorruptError{w.machine, p, err}
	}
	if there {
		return nil
	}
	return w.node(ctx, p)
}

// node writes what is below a node that is not there, and then the node.
func (w *saver) node(ctx context.Context, p snapshot.Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	encoded, err := w.from.node(p)
	if err != nil {
		return err
	}
	missing, err := w.missing(p, encoded)
	if err != nil {
		return err
	}
	for _, child := range missing {
		if child.Level > 0 {
			err = w.node(ctx, child)
		} else {
			err = w.page(child)
		}
		if err != nil {
			return err
		}
	}
	return w.put(partKey(w.machine, p), encoded)
}

// missing lists the children of a node that are to be written. Their keys follow one another, so
// that one iterator finds them faster than as many reads.
func (w *saver) missing(p snapshot.Ref, encoded []byte) (list []snapshot.Ref, err error) {
	it, err := w.s.db.NewIter(&pebble.IterOptions{LowerBound: partPrefix(w.machine, 0), UpperBound: partPrefix(w.machine, 1)})
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for i := range uint32(snapshot.Fanout) {
		child := snapshot.Child(p, encoded, i)
		if child.Digest == (audit.Digest{}) || child.Level == 0 && child.Digest == snapshot.ZeroPage {
			continue
		}
		key := partKey(w.machine, child)
		if it.SeekGE(key) && bytes.Equal(it.Key(), key) {
			continue
		}
		if err := it.Error(); err != nil {
			return nil, &CorruptError{w.machine, child, err}
		}
		list = append(list, child)
	}
	return list, nil
}

func (w *saver) page(p snapshot.Ref) error {
	data, err := w.from.page(p)
	if err != nil {
		return err
	}
	w.packed = w.s.enc.EncodeAll(data, w.packed[:0])
	return w.put(partKey(w.machine, p), w.packed)
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
	if err := w.commit(pebble.NoSync); err != nil {
		return err
	}
	w.batch.Reset()
	return nil
}

// commit writes the batch if there is room for it and what Pebble makes of it.
func (w *saver) commit(o *pebble.WriteOptions) error {
	if err := w.s.room.check(uint64(w.batch.Len())); err != nil {
		return err
	}
	return w.batch.Commit(o)
}
