package guesttest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
)

const wasmPage = 64 << 10

func ordered(t int64) ordering.Time { return ordering.Time(t) }

// difference says in a line where two states part.
func difference(got, want state) string {
	if len(got.memory) != len(want.memory) {
		return fmt.Sprintf("%d bytes of memory, want %d", len(got.memory), len(want.memory))
	}
	for i := range got.memory {
		if got.memory[i] != want.memory[i] {
			return fmt.Sprintf("byte %d is %#x, want %#x", i, got.memory[i], want.memory[i])
		}
	}
	return fmt.Sprintf("globals are %#x, want %#x", got.globals, want.globals)
}

// changedPages lists the pages in which two memories differ; one that only the
// newer has is listed if it is not zero.
func changedPages(before, after []byte) []uint32 {
	var pages []uint32
	for i := 0; i < len(after); i += snapshot.PageSize {
		old := make([]byte, snapshot.PageSize)
		if i < len(before) {
			old = before[i : i+snapshot.PageSize]
		}
		if !bytes.Equal(old, after[i:i+snapshot.PageSize]) {
			pages = append(pages, uint32(i/snapshot.PageSize))
		}
	}
	return pages
}

func testCommit(t *testing.T, open Open) {
	r := start(t, open, "probe")
	if listed := r.Commit(); len(r.Memory()) > wasmPage && len(listed) > len(r.Memory())/snapshot.PageSize {
		t.Errorf("commit of nothing listed %d pages", len(listed))
	}
	for _, in := range [][]byte{
		input(doCount), input(doStore, 4095, 0x01020304), input(doNothing),
		input(doFill, 8192, 9, 3*4096), input(doGrow, 1), input(doStore, 3*wasmPage-4, 5), input(doGrow, 2),
	} {
		before := r.state()
		clear(r.Globals()) // a copy
		r.must(r.call(wasmabi.ExportApply, in))
		if got := r.state(); !got.equal(before) {
			t.Fatalf("command %d changed the committed state: %s", in[0], difference(got, before))
		}
		listed := slices.Clone(r.Commit())
		after := r.state()
		if !slices.IsSorted(listed) || len(slices.Compact(slices.Clone(listed))) != len(listed) {
			t.Errorf("command %d: commit listed %d, want ascending", in[0], listed)
		}
		for _, page := range changedPages(before.memory, after.memory) {
			if !slices.Contains(listed, page) {
				t.Errorf("command %d changed page %d, commit listed %d", in[0], page, listed)
			}
		}
		for _, page := range listed {
			if int(page) >= len(after.memory)/snapshot.PageSize {
				t.Errorf("command %d: commit listed page %d of a memory of %d bytes", in[0], page, len(after.memory))
			}
		}
	}
}

// testUndoSeveral checks that calls without a commit in between are undone
// together.
func testUndoSeveral(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	for range 3 {
		for n := uint32(102); n < 105; n++ {
			if got := r.number(r.do(doCount)); got != n {
				t.Errorf("count is %d, want %d", got, n)
			}
		}
		r.must(r.do(doFill, 4096, 1, 100_000))
		r.must(r.do(doClock))
		r.Undo()
		r.wantState("several calls undone", before)
	}
}

func testGrow(t *testing.T, open Open) {
	r := start(t, open, "probe")
	if got := r.number(r.do(doGrow, 3)); got != 5 {
		t.Fatalf("memory has %d pages after it grew by 3, want 5", got)
	}
	if len(r.Memory()) != 2*wasmPage {
		t.Errorf("committed memory has %d bytes before commit", len(r.Memory()))
	}
	r.Commit()
	if len(r.Memory()) != 5*wasmPage {
		t.Errorf("committed memory has %d bytes, want %d", len(r.Memory()), 5*wasmPage)
	}
	// 9 is the module's own limit.
	if got := r.number(r.do(doGrow, 5)); got != 5 {
		t.Errorf("memory has %d pages after growth over the limit, want 5", got)
	}
	if got := r.number(r.do(doGrow, 100)); got != 5 {
		t.Errorf("memory has %d pages after absurd growth, want 5", got)
	}
	if got := r.number(r.do(doGrow, 4)); got != 9 {
		t.Errorf("memory has %d pages, want 9", got)
	}
	if got := r.number(r.do(doGrow, 1)); got != 9 {
		t.Errorf("memory has %d pages after growth over the limit, want 9", got)
	}
	r.Commit()
	r.must(r.do(doStore, 9*wasmPage-4, 1))
	r.wantTrap("store behind the memory", r.do(doStore, 9*wasmPage-3, 1), wasmabi.MemoryOutOfBounds)
}

// testGrowUndone checks that growth is undone for the guest too, not only in
// what the host sees, and that what it wrote there is gone when it grows again.
func testGrowUndone(t *testing.T, open Open) {
	r := start(t, open, "probe")
	before := r.state()
	for _, pages := range []uint32{1, 6, 3, 6} {
		if got := r.number(r.do(doGrow, pages)); got != 2+pages {
			t.Fatalf("memory has %d pages, want %d", got, 2+pages)
		}
		r.must(r.do(doFill, 2*wasmPage, 0xee, pages*wasmPage))
		if pages == 3 {
			r.wantTrap("grow and trap", r.do(doGrowTrap, 3), wasmabi.Unreachable)
		}
		r.Undo()
		r.wantState("growth undone", before)
		r.wantTrap("store behind the memory", r.do(doStore, 2*wasmPage, 1), wasmabi.MemoryOutOfBounds)
		r.Undo()
		if got := r.number(r.do(doGrow, 0)); got != 2 {
			t.Errorf("memory has %d pages for the guest, want 2", got)
		}
		r.Undo()
	}
	r.must(r.do(doGrow, 6))
	for _, ptr := range []uint32{2 * wasmPage, 3*wasmPage + 4096, 7 * wasmPage} {
		if got := r.number(r.do(doLoad, ptr)); got != 0 {
			t.Errorf("new memory holds %#x at %d", got, ptr)
		}
	}
}

func testEmptyMemory(t *testing.T, open Open) {
	r := start(t, open, "empty")
	for pages := range 4 {
		want := min(pages, 2) * wasmPage
		if got := len(r.Memory()); got != want {
			t.Errorf("memory has %d bytes after %d calls, want %d", got, pages, want)
		}
		r.must(r.call(wasmabi.ExportApply, nil))
		r.Undo()
		r.must(r.call(wasmabi.ExportApply, nil))
		r.Commit()
	}
	if err := r.Patch(snapshot.Delta{}); err != nil || len(r.Memory()) != 0 {
		t.Errorf("patched to nothing: %d bytes, %v", len(r.Memory()), err)
	}
	n := start(t, open, "none")
	n.must(n.call(wasmabi.ExportApply, nil))
	if listed := n.Commit(); len(listed) != 0 || len(n.Memory()) != 0 {
		t.Errorf("memory of nothing has %d bytes, commit listed %d", len(n.Memory()), listed)
	}
}

// delta is the whole of a state as a delta.
func delta(s state) snapshot.Delta {
	d := snapshot.Delta{Size: uint64(len(s.memory)), Globals: s.globals}
	for i := 0; i < len(s.memory); i += snapshot.PageSize {
		d.Pages = append(d.Pages, snapshot.Page{Index: uint32(i / snapshot.PageSize), Data: s.memory[i : i+snapshot.PageSize]})
	}
	return d
}

// testPatch moves a state to an instance that never ran, in pieces, and checks
// that both go on alike.
func testPatch(t *testing.T, open Open) {
	r, other := start(t, open, "probe"), fresh(t, open, "probe")
	for _, in := range [][]byte{input(doCount), input(doGrow, 3), input(doStore, 4*wasmPage, 77), input(doClock), input(doFill, 9000, 3, 9000)} {
		r.must(r.call(wasmabi.ExportApply, in))
		r.Commit()
	}
	whole := delta(r.state())
	for _, d := range []snapshot.Delta{
		{Size: whole.Size}, {Size: whole.Size, Pages: whole.Pages[40:]}, {Size: whole.Size, Pages: whole.Pages[:40], Globals: whole.Globals},
	} {
		if err := other.Patch(d); err != nil {
			t.Fatal(err)
		}
	}
	other.wantState("patched", r.state())
	other.Undo()
	other.wantState("patched and undone", r.state())
	for _, in := range [][]byte{input(doCount), input(doLoad, 4*wasmPage), input(doGrow, 1), input(doClock), input(doUnreachable), input(doCount), input(doAmbient)} {
		a, b := r.call(wasmabi.ExportApply, in), other.call(wasmabi.ExportApply, in)
		if !sameOutcome(a, b) {
			t.Errorf("command %d: got %+v, want %+v", in[0], b, a)
		}
		for _, g := range []rig{r, other} {
			if a.Status != wasmabi.OK {
				g.Undo()
			}
			g.Commit()
		}
		other.wantState("after a call", r.state())
	}
}

// testPatchShrinks repairs an instance that is ahead.
func testPatchShrinks(t *testing.T, open Open) {
	r := start(t, open, "probe")
	old := r.state()
	r.must(r.do(doGrow, 5))
	r.must(r.do(doFill, 0, 0xcc, 7*wasmPage))
	r.Commit()
	r.must(r.do(doGrow, 1)) // not committed
	if err := r.Patch(delta(old)); err != nil {
		t.Fatal(err)
	}
	r.wantState("patched to an older state", old)
	r.wantTrap("store behind the memory", r.do(doStore, 2*wasmPage, 1), wasmabi.MemoryOutOfBounds)
	r.Undo()
	r.must(r.do(doGrow, 1))
	if got := r.number(r.do(doLoad, 2*wasmPage)); got != 0 {
		t.Errorf("memory that grew again holds %#x", got)
	}
	r.Undo()
	if err := r.Patch(snapshot.Delta{Size: uint64(len(old.memory))}); err != nil {
		t.Fatal(err)
	}
	r.wantState("patched with nothing", old)
}

func testPatchRefuses(t *testing.T, open Open) {
	page := make([]byte, snapshot.PageSize)
	for name, change := range map[string]func(d *snapshot.Delta){
		"size over the limit":      func(d *snapshot.Delta) { d.Size = 10 * wasmPage },
		"size of 2^63":             func(d *snapshot.Delta) { d.Size = 1 << 63 },
		"size below the initial":   func(d *snapshot.Delta) { d.Size = wasmPage },
		"part of a Wasm page":      func(d *snapshot.Delta) { d.Size += snapshot.PageSize },
		"page outside":             func(d *snapshot.Delta) { d.Pages = []snapshot.Page{{Index: 32, Data: page}} },
		"page far outside":         func(d *snapshot.Delta) { d.Pages = []snapshot.Page{{Index: 1<<32 - 1, Data: page}} },
		"short page":               func(d *snapshot.Delta) { d.Pages = []snapshot.Page{{Index: 1, Data: page[1:]}} },
		"one global less":          func(d *snapshot.Delta) { d.Globals = d.Globals[1:] },
		"one global more":          func(d *snapshot.Delta) { d.Globals = append(d.Globals, 0) },
		"64 bits for a 32-bit one": func(d *snapshot.Delta) { d.Globals[0] |= 1 << 40 },
	} {
		r := start(t, open, "probe")
		d := snapshot.Delta{Size: 2 * wasmPage, Globals: r.Globals()}
		change(&d)
		if err := r.Patch(d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
