package paging

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memfd tracks writes by copy on write: a page that was written is one that the working memory
// has to itself and not of the file, which the pagemap tells. Pages are given back
// when they are committed.
type memfd struct {
	*file
	pagemap *pagemap
	entries []byte // to read the pagemap into, where the kernel knows no scan of it
	vectors []unix.Iovec
	seen    int // pages of the file in the working memory, that the scans since the last settle passed over
	passed  int // those of all scans since all were last given back
}

// newMemfd starts a tracker on memories that it takes over.
func newMemfd(memories *file) (_ tracker, err error) {
	f := &memfd{file: memories, vectors: make([]unix.Iovec, 0, maxVectors)}
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

func (f *memfd) settle(pages []uint32) {
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

func (f *memfd) undo(pages []uint32) { f.giveBack(pages...) }

// pidfdSelf stands for this process, Linux 6.14 and later.
const pidfdSelf = -10001

// giveBack gives working pages back: runs of them in one system call, process_madvise(2),
// which interrupts the other processors once. Where it is not there, before Linux 6.14 or forbidden,
// a call for each run does it.
func (f *memfd) giveBack(pages ...uint32) {
	runs(pages, 0, func(from, to uint64) {
		v := unix.Iovec{Base: &f.live[from]}
		v.SetLen(int(to - from))
		if f.vectors = append(f.vectors, v); len(f.vectors) == maxVectors {
			f.flush()
		}
	})
	f.flush()
}

func (f *memfd) flush() {
	vectors := f.vectors
	f.vectors = f.vectors[:0]
	if len(vectors) > 1 {
		want, self := uint64(0), pidfdSelf
		for _, v := range vectors {
			want += v.Len
		}
		n, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(self), uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)),
			unix.MADV_DONTNEED, 0, 0)
		if errno == 0 && uint64(n) == want {
			return
		}
	}
	for _, v := range vectors {
		f.drop(unsafe.Slice(v.Base, v.Len))
	}
}

func (f *memfd) close() error { return errors.Join(f.pagemap.close(), f.file.close()) }
