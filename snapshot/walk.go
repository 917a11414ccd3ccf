package snapshot

import (
	"errors"
	"fmt"
	"slices"

	"lockstep/audit"
)

// Walk finds the pages in which a memory differs from the one under a root,
// given the nodes of the other tree piece by piece. It never asks for what the
// local tree has too, takes nothing that does not have the digest asked for,
// and keeps a bounded number of open questions however large the memory is.
//
//	for !w.Done() {
//		for _, q := range w.Nodes(128) { w.Give(q, fetch(q)) }
//		for _, q := range w.Pages(128) { … fetch(q) … }
//	}
type Walk struct {
	local *TreeView
	pages uint32 // in the memory that is wanted
	open  []Ref
	found []Ref
}

// Ref names a part of a state by its place and its digest: a node of the page
// tree, or at level 0 a page.
type Ref struct {
	Level  uint8 // from 0 to Levels
	Index  uint32
	Digest audit.Digest
}

// ErrWrongBytes is returned for bytes that do not have the digest asked for.
var ErrWrongBytes = errors.New("bytes do not have the digest that was asked for")

// NewWalk starts at the root of the wanted tree. The local one must cover the
// wanted size already, and must not change during the walk.
func NewWalk(local *TreeView, root audit.Digest, size uint64) *Walk {
	w := &Walk{local: local, pages: uint32(size / PageSize)}
	if size > 0 && local.Digest(Levels, 0) != root {
		w.open = append(w.open, Ref{Level: Levels, Digest: root})
	}
	return w
}

// Done reports whether all that differs has been handed out.
func (w *Walk) Done() bool { return len(w.open) == 0 && len(w.found) == 0 }

// Nodes hands out at most limit nodes that are needed next. It hands out none
// while pages wait to be taken. A node that could not be had is given back
// with Again.
func (w *Walk) Nodes(limit int) []Ref {
	if len(w.found) > 0 {
		return nil
	}
	// The last opened are the deepest: so the questions stay few.
	n := min(limit, len(w.open))
	refs := append([]Ref(nil), w.open[len(w.open)-n:]...)
	w.open = w.open[:len(w.open)-n]
	return refs
}

// Again puts back questions that were not answered.
func (w *Walk) Again(refs ...Ref) { w.open = append(w.open, refs...) }

// Give answers a question. It returns ErrWrongBytes for a wrong answer, and
// the question is then open still, for somebody else to answer.
func (w *Walk) Give(q Ref, encoded []byte) error {
	if len(encoded) != NodeSize || NodeDigest(encoded) != q.Digest {
		w.Again(q)
		return fmt.Errorf("node %d of level %d: %w", q.Index, q.Level, ErrWrongBytes)
	}
	for i := range uint32(Fanout) {
		child := Child(q, encoded, i)
		switch {
		case child.Digest == w.local.Digest(int(child.Level), child.Index):
		case child.Level == 0 && child.Index < w.pages:
			w.found = append(w.found, child)
		case child.Level > 0 && child.Digest != audit.Digest{}:
			w.open = append(w.open, child)
		}
	}
	return nil
}

// Pages hands out at most limit pages that differ, ascending within what one
// node told.
func (w *Walk) Pages(limit int) []Ref {
	n := min(limit, len(w.found))
	refs := w.found[:n:n]
	w.found = w.found[n:]
	return refs
}

// CheckPage returns ErrWrongBytes if a page does not have the digest.
func CheckPage(q Ref, page []byte) error {
	if len(page) != PageSize || PageDigest(page) != q.Digest {
		return fmt.Errorf("page %d: %w", q.Index, ErrWrongBytes)
	}
	return nil
}

// CheckPages is CheckPage for pages from the first on: so many are right, and of the next, if there is one, err tells.
func CheckPages(asked []Ref, pages [][]byte) (good int, err error) {
	n := slices.IndexFunc(pages, func(page []byte) bool { return len(page) != PageSize })
	if n < 0 {
		n = len(pages)
	}
	digests := make([]audit.Digest, n)
	PageDigests(pages[:n], digests)
	for good < n && digests[good] == asked[good].Digest {
		good++
	}
	if good < len(pages) {
		return good, CheckPage(asked[good], pages[good])
	}
	return good, nil
}

// Child names the child at a position, below Fanout, of an encoded node.
func Child(parent Ref, encoded []byte, position uint32) Ref {
	c := Ref{Level: parent.Level - 1, Index: parent.Index*Fanout + position}
	copy(c.Digest[:], encoded[int(position)*len(c.Digest):])
	return c
}
