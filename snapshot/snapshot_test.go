package snapshot_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// naive computes the root of a memory from its definition.
func naive(memory []byte) audit.Digest {
	var level []audit.Digest
	for at := 0; at < len(memory); at += snapshot.PageSize {
		level = append(level, blake3.Sum256(memory[at:at+snapshot.PageSize]))
	}
	if len(level) == 0 {
		return audit.Digest{}
	}
	for range snapshot.Levels {
		var above []audit.Digest
		for i := 0; i < len(level); i += snapshot.Fanout {
			var node [snapshot.NodeSize]byte
			for j, d := range level[i:min(i+snapshot.Fanout, len(level))] {
				copy(node[j*32:], d[:])
			}
			above = append(above, blake3.Sum256(node[:]))
		}
		level = above
	}
	return level[0]
}

const wasmPage = 64 << 10

// change writes, grows or shrinks a memory at random, and returns the pages
// that changed.
func change(r *rand.Rand, memory []byte) ([]byte, []uint32) {
	size := len(memory)
	switch r.IntN(4) {
	case 0:
		size += r.IntN(40) * wasmPage
	case 1:
		size = r.IntN(size/wasmPage+1) * wasmPage
	}
	next := make([]byte, size)
	copy(next, memory)
	var dirty []uint32
	for i := range uint32(size / snapshot.PageSize) {
		grown := int(i+1)*snapshot.PageSize > len(memory)
		written := r.IntN(50) == 0
		if written {
			next[int(i)*snapshot.PageSize+r.IntN(snapshot.PageSize)] = byte(r.Uint32())
		}
		if grown || written {
			dirty = append(dirty, i)
		}
	}
	return next, dirty
}

func TestTreeIsItsDefinition(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		tree, memory := snapshot.NewTree(), []byte(nil)
		var views []*snapshot.TreeView
		var roots []audit.Digest
		for step := range 12 {
			var dirty []uint32
			memory, dirty = change(r, memory)
			tree.Resize(len(memory))
			tree.Update(memory, dirty)
			want := naive(memory)
			if step%2 == 0 { // a root that was not asked for in between is right too
				if got := tree.Root(); got != want {
					t.Fatalf("seed %d, step %d: root %v, want %v", seed, step, got, want)
				}
			}
			views, roots = append(views, tree.View()), append(roots, want)
		}
		for i, v := range views {
			if got := v.Digest(snapshot.Levels, 0); got != roots[i] {
				t.Errorf("seed %d: view %d has root %v now, had %v", seed, i, got, roots[i])
			}
			checkView(t, v)
		}
	}
}

// checkView checks that every node of a view has the digest that its parent says.
func checkView(t *testing.T, v *snapshot.TreeView) {
	t.Helper()
	count := v.Pages()
	for level := 1; level <= snapshot.Levels; level++ {
		count = (count + snapshot.Fanout - 1) / snapshot.Fanout
		for i := range count {
			if got, want := snapshot.NodeDigest(v.Node(level, i)), v.Digest(level, i); got != want {
				t.Fatalf("node %d of level %d digests to %v, its parent says %v", i, level, got, want)
			}
		}
		if v.Node(level, count) != nil {
			t.Fatalf("level %d has a node past its end", level)
		}
	}
}

func TestScrubFindsRot(t *testing.T) {
	memory := make([]byte, 4*wasmPage)
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	var all []uint32
	for i := range uint32(len(memory) / snapshot.PageSize) {
		all = append(all, i)
	}
	tree.Update(memory, all)
	memory[17*snapshot.PageSize+5] ^= 1
	var found []uint32
	for from := uint32(0); from < tree.Pages(); from += 10 {
		found = append(found, tree.Scrub(memory, from, 10, noneBlank)...)
	}
	if fmt.Sprint(found) != "[17]" {
		t.Errorf("scrub finds %v, want page 17", found)
	}
	if got := tree.Scrub(memory, 60, 30, noneBlank); fmt.Sprint(got) != "[17]" {
		t.Errorf("a scrub that wraps around finds %v, want page 17", got)
	}
}

func treeOf(memory []byte) *snapshot.Tree {
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	var all []uint32
	for i := range uint32(len(memory) / snapshot.PageSize) {
		all = append(all, i)
	}
	tree.Update(memory, all)
	return tree
}

// A walk finds the pages that differ, no more, asks for little else, and makes
// the one memory the other.
func TestWalkFindsTheDifference(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		local, _ := change(r, make([]byte, 8*wasmPage))
		wanted := local
		for range r.IntN(3) {
			wanted, _ = change(r, wanted)
		}
		target := treeOf(wanted)
		root := target.Root()
		mine := make([]byte, len(wanted))
		copy(mine, local)
		tree := treeOf(local)
		tree.Resize(len(wanted))
		differ := 0
		for i := 0; i < len(wanted); i += snapshot.PageSize {
			if i >= len(local) || !bytes.Equal(mine[i:i+snapshot.PageSize], wanted[i:i+snapshot.PageSize]) {
				differ++
			}
		}
		walk, found, asked := snapshot.NewWalk(tree.View(), root, uint64(len(wanted))), 0, 0
		for !walk.Done() {
			for _, q := range walk.Nodes(1 + r.IntN(7)) {
				asked++
				if r.IntN(5) == 0 {
					lie := bytes.Clone(target.Node(int(q.Level), q.Index))
					lie[r.IntN(len(lie))] ^= 1
					if err := walk.Give(q, lie); !errors.Is(err, snapshot.ErrWrongBytes) {
						t.Fatalf("wrong node was taken: %v", err)
					}
					continue
				}
				if err := walk.Give(q, target.Node(int(q.Level), q.Index)); err != nil {
					t.Fatal(err)
				}
			}
			for _, q := range walk.Pages(1 + r.IntN(9)) {
				found++
				page := wanted[int(q.Index)*snapshot.PageSize:][:snapshot.PageSize]
				if err := snapshot.CheckPage(q, page); err != nil {
					t.Fatal(err)
				}
				copy(mine[int(q.Index)*snapshot.PageSize:], page)
			}
		}
		if !bytes.Equal(mine, wanted) {
			t.Fatalf("seed %d: the memory is not the wanted one", seed)
		}
		if found != differ {
			t.Errorf("seed %d: %d pages found, %d differ", seed, found, differ)
		}
		if limit := 2 * snapshot.Levels * (differ + 1); asked > limit {
			t.Errorf("seed %d: %d nodes asked for %d pages", seed, asked, differ)
		}
	}
}

func TestCheckPage(t *testing.T) {
	page := make([]byte, snapshot.PageSize)
	q := snapshot.Ref{Digest: snapshot.ZeroPage}
	if err := snapshot.CheckPage(q, page); err != nil {
		t.Error(err)
	}
	page[9] = 1
	for name, b := range map[string][]byte{"other bytes": page, "short": page[:9], "none": nil} {
		if err := snapshot.CheckPage(q, b); !errors.Is(err, snapshot.ErrWrongBytes) {
			t.Errorf("%s: %v, want ErrWrongBytes", name, err)
		}
	}
}

func manifest() snapshot.Manifest {
	return snapshot.Manifest{
		Machine: "kv", Epoch: 1, Seq: 7, Chain: ordering.Chain{1}, Size: 2 * wasmPage, Pages: audit.Digest{2},
		Globals: []uint64{3, 4}, System: []byte{5},
	}
}

// Everything in a manifest is under its root.
func TestRootCoversAll(t *testing.T) {
	root := manifest().Root()
	for name, change := range map[string]func(*snapshot.Manifest){
		"machine": func(m *snapshot.Manifest) { m.Machine = "kw" },
		"epoch":   func(m *snapshot.Manifest) { m.Epoch++ },
		"seq":     func(m *snapshot.Manifest) { m.Seq++ },
		"chain":   func(m *snapshot.Manifest) { m.Chain[31]++ },
		"size":    func(m *snapshot.Manifest) { m.Size += wasmPage },
		"pages":   func(m *snapshot.Manifest) { m.Pages[31]++ },
		"global":  func(m *snapshot.Manifest) { m.Globals[1]++ },
		"globals": func(m *snapshot.Manifest) { m.Globals = m.Globals[:1] },
		"system":  func(m *snapshot.Manifest) { m.System[0]++ },
	} {
		m := manifest()
		change(&m)
		if m.Root() == root {
			t.Errorf("another %s has the same root", name)
		}
	}
}

func TestDecodeManifest(t *testing.T) {
	m, err := snapshot.DecodeManifest(manifest().Encode())
	if err != nil || m.Root() != manifest().Root() {
		t.Fatalf("decoded %+v, %v", m, err)
	}
	odd, huge, wide := manifest(), manifest(), manifest()
	odd.Size++
	huge.Size = 1 << 33
	wide.Globals = make([]uint64, 1<<16+1)
	for name, data := range map[string][]byte{
		"nothing": nil, "cut": manifest().Encode()[:20], "longer": append(manifest().Encode(), 0), "odd size": odd.Encode(), "huge": huge.Encode(),
		"too many globals": wide.Encode(),
	} {
		if _, err := snapshot.DecodeManifest(data); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(manifest().Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := snapshot.DecodeManifest(data); err == nil && !bytes.Equal(m.Encode(), data) {
			t.Error("manifest re-encodes to other bytes")
		}
	})
}

// The vectors are for those who write another implementation. UPDATE=1 writes
// them anew.
func TestVectors(t *testing.T) {
	var b strings.Builder
	page := make([]byte, snapshot.PageSize)
	fmt.Fprintf(&b, "# The digests of a page of zeros, and of one in which byte i is i mod 251.\nzeros %s\n", snapshot.PageDigest(page).Hex())
	for i := range page {
		page[i] = byte(i % 251)
	}
	fmt.Fprintf(&b, "bytes %s\n", snapshot.PageDigest(page).Hex())
	fmt.Fprintf(&b, "# Memories of n pages, in which byte 0 of page i is i mod 251 and all else is zero, and the digest of their tree's root node.\n")
	for _, pages := range []int{0, 16, 32, 48, 1024, 1040, 32784} {
		memory := make([]byte, pages*snapshot.PageSize)
		for i := range pages {
			memory[i*snapshot.PageSize] = byte(i % 251)
		}
		fmt.Fprintf(&b, "pages %d %s\n", pages, treeOf(memory).Root().Hex())
	}
	fmt.Fprintf(&b, "# A manifest and its root.\nmanifest %s\nroot %s\n", hex.EncodeToString(manifest().Encode()), manifest().Root().Hex())
	const path = "testdata/roots.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("vectors differ from %s:\n%s", path, b.String())
	}
}

func BenchmarkRoot(b *testing.B) {
	memory := make([]byte, 256<<20)
	tree := treeOf(memory)
	tree.Root()
	for _, n := range []int{8, 100, 10_000} {
		dirty := make([]uint32, n)
		for i := range dirty {
			dirty[i] = uint32(i * (len(memory) / snapshot.PageSize / n))
		}
		b.Run(fmt.Sprintf("256MiB/%d dirty", n), func(b *testing.B) {
			v := byte(0)
			for b.Loop() {
				v++
				for _, i := range dirty {
					memory[int(i)*snapshot.PageSize] = v
				}
				tree.Update(memory, dirty)
				tree.Root()
			}
		})
	}
}

func noneBlank(uint32) bool { return false }
