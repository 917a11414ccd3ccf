package paging

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lockstep/snapshot"
)

// file is a file in memory. The committed memory is a shared mapping of it, the working
// memory a private one: a page that nobody writes exists once, one that was written
// is the working memory's own until it is given back, and shows the file's bytes again.
type file struct {
	fd              int
	live, committed []byte
}

const readWrite = unix.PROT_READ | unix.PROT_WRITE

// mapFile maps the memories. Where that fails, close takes back what was done.
func mapFile(size uint64) (f *file, err error) {
	f = &file{fd: -1}
	if os.Getpagesize() != PageSize {
		return f, fmt.Errorf("pages of %d bytes: %w", os.Getpagesize(), errors.ErrUnsupported)
	}
	if f.fd, err = memfdCreate(); err != nil {
		return f, fmt.Errorf("create memfd: %w", err)
	}
	if err := unix.Ftruncate(f.fd, int64(size)); err != nil {
		return f, fmt.Errorf("size memfd: %w", err)
	}
	if f.live, err = unix.Mmap(f.fd, 0, int(size), readWrite, unix.MAP_PRIVATE|unix.MAP_NORESERVE); err != nil {
		return f, fmt.Errorf("map memfd: %w", err)
	}
	if f.committed, err = unix.Mmap(f.fd, 0, int(size), readWrite, unix.MAP_SHARED|unix.MAP_NORESERVE); err != nil {
		return f, fmt.Errorf("map memfd: %w", err)
	}
	return f, f.probe()
}

// memfdCreate makes a file that nobody executes, which Linux before 6.3 cannot say.
func memfdCreate() (int, error) {
	fd, err := unix.MemfdCreate("lockstep", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("lockstep", unix.MFD_CLOEXEC)
	}
	return fd, err
}

// probe has all that is needed be done with the first page: one that is given back must be the
// file's, and a hole zero.
func (f *file) probe() error {
	first, own := page(f.committed, 0), page(f.live, 0)
	first[0] = 1
	own[0] = 2
	if err := unix.Madvise(own, unix.MADV_DONTNEED); err != nil || first[0] != 1 || own[0] != 1 {
		return fmt.Errorf("a page that was given back is not the file's: %w", errors.ErrUnsupported)
	}
	// QEMU's user-mode emulation says that it made a hole, and makes none.
	if f.cut(0, PageSize); first[0] != 0 || own[0] != 0 {
		return fmt.Errorf("a hole in a memfd is not zero: %w", errors.ErrUnsupported)
	}
	return nil
}

// maxVectors is how many ranges one system call takes, UIO_MAXIOV of the kernel.
const maxVectors = 1024

// write writes to the file, which needs no mapping of the pages and no zeroing before; what
// the working memory has of its own there is given back.
func (f *file) write(run []snapshot.Page) {
	for len(run) > 0 {
		part := run[:min(len(run), maxVectors)]
		run = run[len(part):]
		buffers := make([][]byte, len(part))
		for i, p := range part {
			buffers[i] = p.Data
		}
		at := uint64(part[0].Index) * PageSize
		n, err := unix.Pwritev(f.fd, buffers, int64(at))
		if err != nil {
			n = 0
		}
		for _, p := range part[n/PageSize:] { // as the guest's own writes take memory, or not
			copy(page(f.committed, p.Index), p.Data)
		}
		f.drop(f.live[at : at+uint64(len(part))*PageSize])
	}
}

// drop gives a part of the working memory back: it shows the file's bytes.
func (f *file) drop(live []byte) {
	if err := unix.Madvise(live, unix.MADV_DONTNEED); err != nil {
		panic(fmt.Sprintf("paging: give pages back: %v", err))
	}
}

func (f *file) cut(from, to uint64) {
	f.drop(f.live[from:to])
	hole := f.committed[from:to]
	if err := unix.Madvise(hole, unix.MADV_REMOVE); err != nil {
		clear(hole)
	}
}

func (f *file) close() error {
	if f.fd < 0 {
		return nil
	}
	return unix.Close(f.fd)
}
