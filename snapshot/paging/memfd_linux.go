package paging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memfd tracks writes by copy on write. The committed memory is a shared
// mapping of a file in memory, the working memory a private one of the same
// file: a page that was written is one that the process has to itself, which
// /proc/self/pagemap tells (Documentation/admin-guide/mm/pagemap.rst). A page
// that is given back shows the file's bytes again, so untouched pages exist
// once.
type memfd struct {
	live    []byte
	pagemap int
	entries []byte
}

// Bits of an entry of the pagemap, and how many entries are read at once.
const (
	pagemapPresent = 1 << 63
	pagemapSwapped = 1 << 62
	pagemapFile    = 1 << 61
	pagemapEntries = 4096
)

// mapMemfd maps the two memories.
func mapMemfd(size uint64) (live, committed []byte, err error) {
	fd, err := unix.MemfdCreate("lockstep", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("create memfd: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, nil, fmt.Errorf("size memfd: %w", err)
	}
	const prot = unix.PROT_READ | unix.PROT_WRITE
	if live, err = unix.Mmap(fd, 0, int(size), prot, unix.MAP_PRIVATE|unix.MAP_NORESERVE); err != nil {
		return nil, nil, fmt.Errorf("map memfd: %w", err)
	}
	if committed, err = unix.Mmap(fd, 0, int(size), prot, unix.MAP_SHARED|unix.MAP_NORESERVE); err != nil {
		return live, nil, fmt.Errorf("map memfd: %w", err)
	}
	// QEMU's user-mode emulation says that it made a hole, and makes none.
	committed[0] = 1
	if dropShared(committed[:min(len(committed), PageSize)]); committed[0] != 0 {
		return live, committed, fmt.Errorf("a hole in a memfd is not zero: %w", errors.ErrUnsupported)
	}
	return live, committed, nil
}

func newMemfd(live []byte) (tracker, error) {
	if os.Getpagesize() != PageSize {
		return nil, fmt.Errorf("pages of %d bytes: %w", os.Getpagesize(), errors.ErrUnsupported)
	}
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open pagemap: %w", err)
	}
	f := &memfd{live: live, pagemap: fd, entries: make([]byte, 8*pagemapEntries)}
	if err := f.probe(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// probe reads and writes the first page: the pagemap must tell the two apart.
func (f *memfd) probe() error {
	seen := f.live[0]
	read, err := f.scan(0, PageSize, nil)
	if err != nil {
		return err
	}
	f.live[0] = seen + 1
	wrote, err := f.scan(0, PageSize, nil)
	if err != nil {
		return err
	}
	f.forget([]uint32{0})
	if len(read) != 0 || len(wrote) != 1 || f.live[0] != seen {
		return fmt.Errorf("pagemap does not tell private pages: %w", errors.ErrUnsupported)
	}
	return nil
}

func (f *memfd) scan(from, to uint64, list []uint32) ([]uint32, error) {
	first := uint64(uintptr(unsafe.Pointer(&f.live[0]))) / PageSize
	for i, end := from/PageSize, to/PageSize; i < end; {
		part := f.entries[:8*min(end-i, pagemapEntries)]
		n, err := unix.Pread(f.pagemap, part, int64(8*(first+i)))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n < 8 {
			return list, fmt.Errorf("read pagemap: %d bytes: %w", n, errors.Join(err, errors.ErrUnsupported))
		}
		for at := 0; at+8 <= n; at += 8 {
			e := binary.NativeEndian.Uint64(part[at:])
			if e&(pagemapPresent|pagemapSwapped) != 0 && e&pagemapFile == 0 {
				list = append(list, uint32(i))
			}
			i++
		}
	}
	return list, nil
}

// peek panics where the kernel stops telling: going on without knowing what
// was written would be to diverge.
func (f *memfd) peek(from, to uint64, list []uint32) []uint32 {
	list, err := f.scan(from, to, list)
	if err != nil {
		panic(fmt.Sprintf("paging: %v", err))
	}
	return list
}

func (f *memfd) fresh(from, to uint64, list []uint32) []uint32 { return f.peek(from, to, list) }

// forget gives the private copies back, a call for each run of pages.
func (f *memfd) forget(pages []uint32) {
	runs(pages, 0, func(from, to uint64) {
		if err := unix.Madvise(f.live[from:to], unix.MADV_DONTNEED); err != nil {
			panic(fmt.Sprintf("paging: give pages back: %v", err))
		}
	})
}

func (f *memfd) restart(uint64, uint64) {}
func (f *memfd) close() error           { return unix.Close(f.pagemap) }

// dropShared makes pages of a shared mapping zero by a hole in its file.
func dropShared(b []byte) {
	if len(b) == 0 {
		return
	}
	if err := unix.Madvise(b, unix.MADV_REMOVE); err != nil {
		clear(b)
	}
}
