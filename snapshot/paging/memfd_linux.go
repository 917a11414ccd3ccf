package paging

import (
	"errors"
	"fmt"
)

// memfd tracks writes by copy on write: a page that was written is one that the working memory
// has to itself and not of the file, which the pagemap tells. Pages are given back
// when they are committed.
type memfd struct {
	*file
	pagemap *pagemap
	entries []byte // to read the pagemap into, where the kernel knows no scan of it
	seen    int    // pages of the file in the working memory, that the scans since the last settle passed over
	passed  int    // those of all scans since all were last given back
}

// newMemfd starts a tracker on memories that it takes over.
func newMemfd(memories *file) (_ tracker, err error) {
	f := &memfd{file: memories}
	if f.pagemap, err = openPagemap(f.live); err != nil {
		return nil, err
	}
	if err := f.probe(); err != nil {
		return nil, errors.Join(err, f.pagemap.close())
	}
	return f, nil
}

// probe reads and writes the first page: the pagemap must tell the two apart.
func (f *memfd) probe() error {
	seen := f.live[0]
	read, err := f.scan(0, PageSize, nil)
	if err != nil { // no PAGEMAP_SCAN
		f.entries = make([]byte, 8*pagemapEntries)
		if read, err = f.scan(0, PageSize, nil); err != nil {
			return err
		}
	}
	f.live[0] = seen + 1
	wrote, err := f.scan(0, PageSize, nil)
	if err != nil {
		return err
	}
	if f.giveBack(0); len(read) != 0 || len(wrote) != 1 || f.live[0] != seen {
		return fmt.Errorf("pagemap does not tell private pages: %w", errors.ErrUnsupported)
	}
	return nil
}

// scan lists the pages that the working memory has to itself.
func (f *memfd) scan(from, to uint64, list []uint32) ([]uint32, error) {
	found := func(r pageRegion) {
		if r.categories&pageIsFile != 0 {
			f.seen += r.pages()
			return
		}
		list = r.list(f.pagemap.base, list)
	}
	if f.entries != nil {
		err := f.pagemap.read(from, to, f.entries, found)
		return list, err
	}
	err := f.pagemap.scan(from, to, scanArg{anyOf: pageIsThere, returned: pageIsFile}, found)
	return list, err
}

// peek panics where the kernel stops telling: going on without knowing what was
// written would be to diverge.
func (f *memfd) peek(from, to uint64, list []uint32) []uint32 {
	list, err := f.scan(from, to, list)
	if err != nil {
		panic(fmt.Sprintf("paging: scan of written pages: %v", err))
	}
	return list
}

// A scan costs with the pages that the working memory has, whether written or only
// read. So those that are only read are given back too, with all others, once scans
// have passed over them so often that it cost as much as it does to give them back
// and to have them once more, 16 at a fault: neither costs more than twice what
// knowing the future would.
const (
	passedShared = 16 // times that a page of the file is passed over
	passedFew    = 64 // pages that each scan may pass over
)

func (f *memfd) settle(pages []uint32, _ int) {
	if f.seen > passedFew {
		f.passed += f.seen
	}
	if f.passed > passedShared*max(f.seen, passedFew) {
		f.passed = 0
		f.drop(f.live)
	} else {
		f.giveBack(pages...)
	}
	f.seen = 0
}

func (f *memfd) shed(pages []uint32) { f.giveBack(pages...) }

func (f *memfd) close() error { return errors.Join(f.pagemap.close(), f.file.close()) }
