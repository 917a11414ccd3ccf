package store

import (
	"errors"
	"fmt"

	"lockstep/audit"
	"lockstep/snapshot"
)

// CorruptError says that a part of a checkpoint is not on disk as its digest
// tells. The checkpoints that it belongs to cannot be used.
type CorruptError struct {
	Machine string
	Part    snapshot.Ref
	Err     error // what reading it said
}

func (e *CorruptError) Error() string {
	if e.Part.Level == 0 {
		return fmt.Sprintf("page %d of machine %s (bytes %#x to %#x of its memory) is corrupt on disk: %v",
			e.Part.Index, e.Machine, uint64(e.Part.Index)*snapshot.PageSize, uint64(e.Part.Index+1)*snapshot.PageSize-1, e.Err)
	}
	first := e.Part.Index << (5 * e.Part.Level)
	return fmt.Sprintf("node %d of level %d of machine %s, over its pages from %d on, is corrupt on disk: %v",
		e.Part.Index, e.Part.Level, e.Machine, first, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// whole is Part for a part that must be there.
func (s *Store) whole(machine string, p snapshot.Ref) ([]byte, error) {
	v, err := s.Part(machine, p)
	if errors.Is(err, ErrNotFound) {
		err = &CorruptError{machine, p, err}
	}
	return v, err
}

// wholes hands parts to take, in order, which must be there; a node is valid until take
// returns. Many are read faster at once than one by one.
func (s *Store) wholes(machine string, refs []snapshot.Ref, take func(snapshot.Ref, []byte) error) error {
	if len(refs) == 0 {
		return nil
	}
	given := 0
	var fault error
	err := s.Parts(machine, refs, func(stored []byte) bool {
		p := refs[given]
		var part []byte
		if stored == nil {
			fault = &CorruptError{machine, p, ErrNotFound}
		} else if part, fault = s.checked(machine, p, stored); fault == nil {
			fault = take(p, part)
		}
		given++
		return fault == nil
	})
	if fault == nil && err != nil {
		fault = &CorruptError{machine, refs[min(given, len(refs)-1)], err}
	}
	return fault
}

// Restore hands to patch the pages in which a checkpoint differs from the local
// memory, in batches. The local tree must cover the manifest's size. A part
// that is bad or gone is a *CorruptError.
func (s *Store) Restore(man snapshot.Manifest, local *snapshot.TreeView, patch func([]snapshot.Page) error) error {
	const batch = 256
	walk := snapshot.NewWalk(local, man.Pages, man.Size)
	for !walk.Done() {
		if err := s.wholes(man.Machine, walk.Nodes(batch), walk.Give); err != nil {
			return fmt.Errorf("restore seq %d: %w", man.Seq, err)
		}
		var pages []snapshot.Page
		var stored []snapshot.Ref
		for _, q := range walk.Pages(batch) {
			if q.Digest == snapshot.ZeroPage {
				pages = append(pages, snapshot.Page{Index: q.Index, Data: zeroPage[:], Digest: q.Digest})
			} else {
				stored = append(stored, q)
			}
		}
		if err := s.wholes(man.Machine, stored, func(q snapshot.Ref, data []byte) error {
			pages = append(pages, snapshot.Page{Index: q.Index, Data: data, Digest: q.Digest})
			return nil
		}); err != nil {
			return fmt.Errorf("restore seq %d: %w", man.Seq, err)
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

// Verify reads all of a checkpoint and checks it against its root. It returns
// the first part that is bad, and how many pages are not zeros.
func (s *Store) Verify(man snapshot.Manifest) (pages int, err error) {
	err = s.Pages(man, func(snapshot.Page) error {
		pages++
		return nil
	})
	return pages, err
}

// Pages hands the pages of a checkpoint to take, ascending, but for those of
// zeros. A part that is bad or gone is a *CorruptError.
func (s *Store) Pages(man snapshot.Manifest, take func(snapshot.Page) error) error {
	if man.Size == 0 {
		return nil
	}
	return s.pagesBelow(man.Machine, snapshot.Ref{Level: snapshot.Levels, Digest: man.Pages}, take)
}

func (s *Store) pagesBelow(machine string, p snapshot.Ref, take func(snapshot.Page) error) error {
	if p.Digest == (audit.Digest{}) || p.Level == 0 && p.Digest == snapshot.ZeroPage {
		return nil
	}
	part, err := s.whole(machine, p)
	if err != nil {
		return err
	}
	if p.Level == 0 {
		return take(snapshot.Page{Index: p.Index, Data: part})
	}
	for i := range uint32(snapshot.Fanout) {
		if err := s.pagesBelow(machine, snapshot.Child(p, part, i), take); err != nil {
			return err
		}
	}
	return nil
}
