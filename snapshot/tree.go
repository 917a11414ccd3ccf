package snapshot

import (
	"unsafe"

	"lockstep/audit"
)

// The shape of the tree is fixed: four levels of nodes with 32 children each
// hold the digests of 2^20 pages, the largest memory. A node's 32 digests are
// 1 KiB, one chunk of BLAKE3.
const (
	Fanout   = 32
	Levels   = 4 // level 1 holds digests of pages, level 4 is the one root node
	NodeSize = Fanout * len(audit.Digest{})
)

// Tree is the digest tree over the pages of a memory. An absent child has the
// zero digest, and so has the root of an empty memory. Inner digests are
// computed when Root is asked for.
type Tree struct {
	TreeView
	gen   uint64
	stale [Levels][]uint32 // nodes of each level whose digest in their parent is old; may repeat
}

// TreeView is a tree at one moment. It does not change, shares what it can with
// the tree it was taken from, and may be read by any goroutine.
type TreeView struct {
	pages  uint32
	levels [Levels][]*node // levels[0] is level 1
	root   audit.Digest
}

type node struct {
	gen      uint64 // of the tree when the node was made: an older one is shared with a view
	children [Fanout]audit.Digest
}

// encode is the node's children one after another, in place.
func (n *node) encode() []byte { return unsafe.Slice(&n.children[0][0], NodeSize) }

// NewTree returns the tree of an empty memory.
func NewTree() *Tree { return new(Tree) }

// Pages is the number of pages under the tree.
func (t *TreeView) Pages() uint32 { return t.pages }

// Digest returns the digest at a level, 0 for pages, and an index within it.
// It is zero where nothing is.
func (t *TreeView) Digest(level int, index uint32) audit.Digest {
	if level == Levels {
		return t.root
	}
	nodes := t.levels[level]
	if i := int(index / Fanout); i < len(nodes) {
		return nodes[i].children[index%Fanout]
	}
	return audit.Digest{}
}

// Node returns the encoded node at a level from 1 to Levels; nil where nothing
// is. The caller must not change it.
func (t *TreeView) Node(level int, index uint32) []byte {
	if nodes := t.levels[level-1]; int(index) < len(nodes) {
		return nodes[index].encode()
	}
	return nil
}

// Resize makes the tree cover a memory of that many bytes, a multiple of
// PageSize. Pages that are new have the zero digest until Update.
func (t *Tree) Resize(bytes int) {
	pages := uint32(bytes / PageSize)
	if pages == t.pages {
		return
	}
	before := t.pages
	t.pages = pages
	count := int(pages)
	for l := range t.levels {
		count = (count + Fanout - 1) / Fanout
		nodes := t.levels[l]
		for len(nodes) < count {
			nodes = append(nodes, &node{gen: t.gen})
			t.stale[l] = append(t.stale[l], uint32(len(nodes)-1))
		}
		clear(nodes[count:])
		t.levels[l] = nodes[:count:count]
	}
	if pages < before {
		t.cut(pages)
	}
}

// cut zeroes the digests past the end of each level's last node.
func (t *Tree) cut(pages uint32) {
	children := pages
	for l := range t.levels {
		if rest := children % Fanout; rest != 0 {
			n := t.own(l, children/Fanout)
			clear(n.children[rest:])
			t.stale[l] = append(t.stale[l], children/Fanout)
		}
		children = (children + Fanout - 1) / Fanout
	}
	if pages == 0 {
		t.root = audit.Digest{}
	}
	t.stale[Levels-1] = append(t.stale[Levels-1], 0)
}

// own returns a node that no view shares.
func (t *Tree) own(level int, index uint32) *node {
	n := t.levels[level][index]
	if n.gen != t.gen {
		n = &node{gen: t.gen, children: n.children}
		t.levels[level][index] = n
	}
	return n
}

// Update takes the digests of the pages that changed, by index, from the
// memory that Resize was told of.
func (t *Tree) Update(memory []byte, dirty []uint32) {
	var pages [Fanout][]byte
	var digests [Fanout]audit.Digest
	for len(dirty) > 0 {
		n := min(len(dirty), len(pages))
		for j, i := range dirty[:n] {
			pages[j] = memory[int(i)*PageSize:][:PageSize]
		}
		PageDigests(pages[:n], digests[:])
		for j, i := range dirty[:n] {
			t.set(i, digests[j])
		}
		dirty = dirty[n:]
	}
}

// Set gives a page's digest, for who has it and not the memory.
func (t *Tree) Set(index uint32, d audit.Digest) { t.set(index, d) }

func (t *Tree) set(index uint32, d audit.Digest) {
	n := t.own(0, index/Fanout)
	if n.children[index%Fanout] == d {
		return
	}
	n.children[index%Fanout] = d
	if s := t.stale[0]; len(s) == 0 || s[len(s)-1] != index/Fanout {
		t.stale[0] = append(s, index/Fanout)
	}
}

// Root returns the digest of the whole tree.
func (t *Tree) Root() audit.Digest {
	for l := range Levels {
		if l+1 < Levels {
			t.lift(l)
		} else if len(t.stale[l]) > 0 && len(t.levels[l]) > 0 {
			t.root = NodeDigest(t.levels[l][0].encode())
		}
		t.stale[l] = t.stale[l][:0]
	}
	return t.root
}

// lift brings the stale digests of one level into the next.
func (t *Tree) lift(l int) {
	done := make(map[uint32]bool, len(t.stale[l]))
	for _, i := range t.stale[l] {
		if done[i] || int(i) >= len(t.levels[l]) {
			continue
		}
		done[i] = true
		t.own(l+1, i/Fanout).children[i%Fanout] = NodeDigest(t.levels[l][i].encode())
		if s := t.stale[l+1]; len(s) == 0 || s[len(s)-1] != i/Fanout {
			t.stale[l+1] = append(s, i/Fanout)
		}
	}
}

// View returns the tree as it is now. It costs a pointer for every 32 pages.
func (t *Tree) View() *TreeView {
	t.Root()
	v := t.TreeView
	for l := range v.levels {
		v.levels[l] = append([]*node(nil), v.levels[l]...)
	}
	t.gen++
	return &v
}

// Scrub compares the digests of n pages from index from on, wrapping around,
// with those of the memory, and returns the indexes that differ: bytes that
// changed without having been written. Pages that are blank are not looked at. The tree must be up to date.
func (t *Tree) Scrub(memory []byte, from, n uint32, blank func(uint32) bool) (rotten []uint32) {
	for range min(n, t.pages) {
		i := from % t.pages
		if !blank(i) && PageDigest(memory[int(i)*PageSize:][:PageSize]) != t.Digest(0, i) {
			rotten = append(rotten, i)
		}
		from = i + 1
	}
	return rotten
}
