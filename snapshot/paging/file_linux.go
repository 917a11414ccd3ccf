package paging

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/snapshot"
)

// file is a file in memory. The committed memory is a shared mapping of it, the working
// memory a private one: a page that nobody writes exists once, one that was written
// is the working memory's own until it is given back, and shows the file's bytes again.
type file struct {
	fd              int
	live, committed []byte
	vectors         []unix.Iovec // room for those of giveBack
}

const readWrite = unix.PROT_READ | unix.PROT_WRITE

// mapFile maps the memories. Where that fails, close takes back what was done.
func mapFile(size uint64) (f *file, err error) {
	f = &file{fd: -1, vectors: make([]unix.Iovec, 0, maxVectors)}
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

// pidfdSelf stands for this process, Linux 6.14 and later.
const pidfdSelf = -10001

// giveBack gives working pages back: runs of them in one system call, process_madvise(2),
// which interrupts the other processors once. Where it is not there, before Linux 6.14 or forbidden,
// a call for each run does it.
func (f *file) giveBack(pages ...uint32) {
	runs(pages, 0, func(from, to uint64) {
		v := unix.Iovec{Base: &f.live[from]}
		v.SetLen(int(to - from))
		if f.vectors = append(f.vectors, v); len(f.vectors) == maxVectors {
			f.flush()
		}
	})
	f.flush()
}

func (f *file) flush() {
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
