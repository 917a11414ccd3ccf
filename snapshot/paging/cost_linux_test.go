package paging

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/snapshot"
)

// onFile is the file of a memory; nil where it has none.
func onFile(m *Memory) *file {
	switch tracker := m.tracker.(type) {
	case *userfaultfd:
		return tracker.file
	case *memfd:
		return tracker.file
	}
	return nil
}

// hasPages counts the pages that the working memory has, which is what a scan of it passes over.
func hasPages(t *testing.T, m *Memory) (n int) {
	t.Helper()
	p, err := openPagemap(m.live)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	if err := p.read(0, m.size, make([]byte, 8*pagemapEntries), func(r pageRegion) { n += r.pages() }); err != nil {
		t.Fatal(err)
	}
	return n
}

// What a commit and an undo pass over follows what the guest touches, and not how much there is: a memory
// that was written and read all over costs a while, in proportion to that, and then
// no more than a small one. The bytes stay what they are.
func TestCostFollowsPages(t *testing.T) {
	const size, few = 64 << 20, 3 * passedOwn // of other pages each time, as many as are touched before all are given back
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // it reads every page, each time
		}
		for name, end := range map[string]func(*Memory){
			"undo": (*Memory).Undo, "commit": func(m *Memory) { m.Commit() },
		} {
			m := open(t, kind, size)
			m.Grow(size)
			for at := 0; at < size; at += PageSize {
				m.Live()[at] = 1
			}
			m.Commit()
			for at := 0; at < size; at += PageSize {
				if m.Live()[at] != 1 {
					t.Fatalf("%v: byte %d is %d", kind, at, m.Live()[at])
				}
			}
			last, all := 0, 0
			for n := range 2 * passedOwn {
				m.Live()[n*3*PageSize%size+1]++
				last = hasPages(t, m)
				all += last
				end(m)
			}
			if !bytes.Equal(m.Live(), m.Committed()) || (name == "undo") != (m.Live()[1] == 0) {
				t.Errorf("%v: the bytes are others after %s", kind, name)
			}
			if last > few {
				t.Errorf("%v: in the end %s passes over %d pages of %d, with one written each time", kind, name, last, size/PageSize)
			}
			if most := (passedOwn+2)*size/PageSize + 2*passedOwn*few; all > most {
				t.Errorf("%v: %s passed over %d pages, want at most %d", kind, name, all, most)
			}
		}
	}
}

// A guest that writes to another part of a large memory each time leaves few page tables to be passed over.
func TestCostFollowsTables(t *testing.T) {
	const tables, rounds = 512, 2000
	const size = tables * tablePages * PageSize
	if !slices.Contains(kinds(t), Userfaultfd) {
		t.Skip("no userfaultfd here")
	}
	for name, end := range map[string]func(*Memory){"undo": (*Memory).Undo, "commit": func(m *Memory) { m.Commit() }} {
		m := open(t, Userfaultfd, size)
		m.Grow(size)
		m.Commit()
		all := 0
		for n := range rounds {
			m.Live()[n*37%tables*tablePages*PageSize]++
			end(m)
			all += m.tracker.(*userfaultfd).tables.Len()
		}
		if all > 32*rounds {
			t.Errorf("%s passed over %d tables of %d each time", name, all/rounds, tables)
		}
	}
}

// Page tables that are written to each time are kept, and the other pages that they have are not.
func TestHotTablesStay(t *testing.T) {
	const tables, rounds = 8, 3 * passedOwn
	const size = tables * tablePages * PageSize
	if !slices.Contains(kinds(t), Userfaultfd) {
		t.Skip("no userfaultfd here")
	}
	m := filled(t, Userfaultfd, size)
	gone := 0
	for range rounds {
		for at := 0; at < size; at += tablePages * PageSize {
			m.Live()[at]++
		}
		m.Commit()
		if m.tracker.(*userfaultfd).tables.Len() == 0 {
			gone++
		}
	}
	if gone > 3 {
		t.Errorf("all was given back %d times in %d commits that wrote to each table", gone, rounds)
	}
	if n := hasPages(t, m); n > 2*tables {
		t.Errorf("the working memory still has %d pages, of which %d were written", n, tables)
	}
}

// A memory that is large and mostly zero takes memory for what was written, whatever is done with it:
// commit, root, a checkpoint, what a transfer brings.
func TestSparse(t *testing.T) {
	const size, written = 1 << 30, 10
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // it reads every page at commit
		}
		before := resident(t)
		m := open(t, kind, size)
		m.Grow(size)
		for i := range written {
			m.Live()[i*size/written+123] = 1
		}
		m.Commit()
		all := make([]uint32, size/PageSize)
		for i := range all {
			all[i] = uint32(i)
		}
		blank := 0
		for i, d := range digests(m, all) {
			if d == snapshot.ZeroPage {
				blank++
			} else if d != snapshot.PageDigest(page(m.Committed(), uint32(i))) {
				t.Fatalf("%v: digest %d is not its page's", kind, i)
			}
		}
		if want := size/PageSize - written; blank != want {
			t.Errorf("%v: %d pages are blank, want %d", kind, blank, want)
		}
		m.Write(snapshot.Page{Index: 77, Data: bytes.Repeat([]byte{1}, PageSize)})
		f := m.Freeze()
		f.Page(77)
		f.Release()
		m.Undo()
		m.Resize(2 * PageSize) // what is cut off is blank when it comes back
		m.Resize(size)
		digests(m, all)
		if !m.Blank(77) || page(m.Live(), 77)[0] != 0 {
			t.Errorf("%v: a page that was cut off is not blank", kind)
		}
		var stat unix.Stat_t
		if err := unix.Fstat(onFile(m).fd, &stat); err != nil {
			t.Fatal(err)
		}
		if taken := stat.Blocks * 512; taken > 2*(written+1)*PageSize {
			t.Errorf("%v: the file takes %d bytes for %d pages written of 1 GiB", kind, taken, written+1)
		}
		if grown := resident(t) - before; grown > 64<<20 {
			t.Errorf("%v: %d bytes resident for some pages written of 1 GiB", kind, grown)
		}
	}
}

// Pages that a transfer brings exist once until the guest writes to them.
func TestWriteTakesOnce(t *testing.T) {
	const pages = 4096
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // its memories have nothing in common
		}
		m := open(t, kind, pages*PageSize)
		m.Resize(pages * PageSize)
		page(m.Live(), 5)[0] = 9
		m.Commit()
		list := make([]snapshot.Page, pages)
		for i := range list {
			list[i] = snapshot.Page{Index: uint32(i), Data: bytes.Repeat([]byte{byte(i) | 1}, PageSize)}
		}
		m.Write(list...)
		if n := hasPages(t, m); n > 1 { // one that was protected leaves a mark
			t.Errorf("%v: the working memory has %d pages to itself", kind, n)
		}
		for i, p := range list {
			if !bytes.Equal(page(m.Live(), uint32(i)), p.Data) || !bytes.Equal(page(m.Committed(), uint32(i)), p.Data) {
				t.Fatalf("%v: page %d is not what was written", kind, i)
			}
		}
	}
}
