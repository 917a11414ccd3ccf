package paging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pagemap asks the kernel about the pages of a mapping, by /proc/self/pagemap
// (Documentation/admin-guide/mm/pagemap.rst).
type pagemap struct {
	fd      int
	base    uint64
	regions [maxRegions]pageRegion
}

// maxRegions is how many regions one scan tells, for which the kernel takes memory each time; and not more than it gathers at a
// time, 512, or where it says that it ended may be where it was when it had gathered the first so many (seen in Linux 6.18).
const maxRegions = 128

// Layouts and numbers of the kernel's linux/fs.h, Linux 6.7 and later.
const (
	pagemapScan = 0xc0606610

	scanWPMatching = 1 << 0
	scanCheckAsync = 1 << 1
	scanProtect    = scanWPMatching | scanCheckAsync

	pageIsWritten = 1 << 1
	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsThere   = pageIsPresent | pageIsSwapped
)

// pageRegion are pages that follow one another and have the same of the categories asked for.
type pageRegion struct{ start, end, categories uint64 }

// first and end are the pages of the region, in a mapping.
func (r pageRegion) first(base uint64) uint32 { return uint32((r.start - base) / PageSize) }
func (r pageRegion) pages() int               { return int((r.end - r.start) / PageSize) }

// list appends the pages of a region.
func (r pageRegion) list(base uint64, list []uint32) []uint32 {
	first := r.first(base)
	for i := range uint32(r.pages()) {
		list = append(list, first+i)
	}
	return list
}

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, returned                         uint64
}

func openPagemap(mapping []byte) (*pagemap, error) {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open pagemap: %w", err)
	}
	return &pagemap{fd: fd, base: uint64(uintptr(unsafe.Pointer(&mapping[0])))}, nil
}

// scan finds the regions of a range as ask says, which leaves open where. Ranges of the address space that
// have no page table yet cost next to nothing.
func (p *pagemap) scan(from, to uint64, ask scanArg, found func(pageRegion)) error {
	ask.size = uint64(unsafe.Sizeof(ask))
	ask.vec, ask.vecLen = uint64(uintptr(unsafe.Pointer(&p.regions[0]))), uint64(len(p.regions))
	ask.start, ask.end = p.base+from, p.base+to
	for ask.start < ask.end {
		n, err := ioctl(p.fd, pagemapScan, unsafe.Pointer(&ask))
		runtime.KeepAlive(p)
		if err != nil {
			return err
		}
		for _, r := range p.regions[:n] {
			found(r)
		}
		ask.start = ask.walkEnd
	}
	return nil
}

// Bits of an entry of the pagemap, and how many entries are read at once.
const (
	pagemapPresent = 1 << 63
	pagemapSwapped = 1 << 62
	pagemapFile    = 1 << 61
	pagemapEntries = 4096
)

// read is scan for kernels before 6.7: it finds what is there, a page at a time, with category pageIsFile
// where it is of a file. It costs with the size of the range.
func (p *pagemap) read(from, to uint64, entries []byte, found func(pageRegion)) error {
	for at := p.base + from; at < p.base+to; {
		part := entries[:8*min((p.base+to-at)/PageSize, uint64(len(entries)/8))]
		n, err := unix.Pread(p.fd, part, int64(8*(at/PageSize)))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n < 8 {
			return fmt.Errorf("read pagemap: %d bytes: %w", n, errors.Join(err, errors.ErrUnsupported))
		}
		for ; n >= 8; n -= 8 {
			e := binary.NativeEndian.Uint64(part)
			part = part[8:]
			if e&(pagemapPresent|pagemapSwapped) != 0 {
				found(pageRegion{at, at + PageSize, e & pagemapFile / pagemapFile * pageIsFile})
			}
			at += PageSize
		}
	}
	return nil
}

func (p *pagemap) close() error { return unix.Close(p.fd) }

func ioctl(fd int, request uint, arg unsafe.Pointer) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.EAGAIN:
			continue
		}
		return 0, errno
	}
}
