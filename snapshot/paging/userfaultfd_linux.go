package paging

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// userfaultfd tracks writes by asynchronous write protection
// (UFFD_FEATURE_WP_ASYNC, Documentation/admin-guide/mm/userfaultfd.rst) and
// PAGEMAP_SCAN (Documentation/admin-guide/mm/pagemap.rst).
type userfaultfd struct {
	fd, pagemap int
	base        uintptr
	regions     []pageRegion
}

// Layouts and numbers of the kernel's linux/userfaultfd.h and linux/fs.h.
const (
	uffdUserModeOnly = 1

	uffdAPI         = 0xaa
	uffdioAPI       = 0xc018aa3f
	uffdioRegister  = 0xc020aa00
	uffdFeatures    = 1<<0 | 1<<13 | 1<<15 // PAGEFAULT_FLAG_WP, WP_UNPOPULATED, WP_ASYNC
	uffdRegisterWP  = 1 << 1
	pagemapScan     = 0xc0606610
	scanWPMatching  = 1 << 0
	scanCheckAsync  = 1 << 1
	scanProtect     = scanWPMatching | scanCheckAsync
	pageIsWritten   = 1 << 1
	pageIsPresent   = 1 << 3
	pageIsSwapped   = 1 << 4
	regionsPerScan  = 1024
	madvNoHugePages = unix.MADV_NOHUGEPAGE
)

type uffdioAPIArg struct{ api, features, ioctls uint64 }

type uffdioRegisterArg struct{ start, length, mode, ioctls uint64 }

type pageRegion struct{ start, end, categories uint64 }

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, returned                         uint64
}

func newUserfaultfd(live []byte) (_ tracker, err error) {
	u := &userfaultfd{fd: -1, pagemap: -1, base: uintptr(unsafe.Pointer(&live[0])), regions: make([]pageRegion, regionsPerScan)}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.close())
		}
	}()
	// A huge page would be tracked as a whole.
	if err := unix.Madvise(live, madvNoHugePages); err != nil {
		return nil, fmt.Errorf("madvise: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("userfaultfd: %w", errno)
	}
	u.fd = int(fd)
	api := uffdioAPIArg{api: uffdAPI, features: uffdFeatures}
	if err := ioctl(u.fd, uffdioAPI, unsafe.Pointer(&api)); err != nil {
		return nil, fmt.Errorf("userfaultfd features: %w", err)
	}
	reg := uffdioRegisterArg{start: uint64(u.base), length: uint64(len(live)), mode: uffdRegisterWP}
	if err := ioctl(u.fd, uffdioRegister, unsafe.Pointer(&reg)); err != nil {
		return nil, fmt.Errorf("userfaultfd register: %w", err)
	}
	if u.pagemap, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open pagemap: %w", err)
	}
	if err := u.scan(0, PageSize, scanProtect, 0, func(pageRegion) {}); err != nil {
		return nil, fmt.Errorf("scan pagemap: %w", err)
	}
	return u, nil
}

// scan lists the regions of a range that were written, and with scanProtect protects them again.
// Pages that nobody touched count as written until they are protected too; anyOf
// narrows the pages down to those that have one of its categories.
func (u *userfaultfd) scan(from, to, flags, anyOf uint64, found func(pageRegion)) error {
	start, end := uint64(u.base)+from, uint64(u.base)+to
	for start < end {
		arg := scanArg{
			size: uint64(unsafe.Sizeof(scanArg{})), flags: flags, start: start, end: end,
			vec: uint64(uintptr(unsafe.Pointer(&u.regions[0]))), vecLen: uint64(len(u.regions)),
			mask: pageIsWritten, anyOf: anyOf, returned: pageIsWritten,
		}
		n, err := ioctlN(u.pagemap, pagemapScan, unsafe.Pointer(&arg))
		runtime.KeepAlive(u)
		if err != nil {
			return err
		}
		for _, r := range u.regions[:n] {
			found(r)
		}
		start = arg.walkEnd
	}
	return nil
}

func (u *userfaultfd) peek(from, to uint64, list []uint32) []uint32 {
	u.mustScan(from, to, scanCheckAsync, 0, func(r pageRegion) { list = u.pages(r, list) })
	return list
}

func (u *userfaultfd) fresh(from, to uint64, list []uint32) []uint32 {
	u.mustScan(from, to, scanProtect, pageIsPresent|pageIsSwapped, func(r pageRegion) { list = u.pages(r, list) })
	u.restart(from, to) // the untouched ones: the next scan need not tell them apart
	return list
}

// nearby is the number of pages between two runs up to which one scan over all costs
// less than one of each: a scan interrupts the other processors, which costs
// thousands of times what it costs to pass over a page.
const nearby = 1024

func (u *userfaultfd) forget(pages []uint32) { runs(pages, nearby, u.restart) }

func (u *userfaultfd) pages(r pageRegion, list []uint32) []uint32 {
	for at := r.start; at < r.end; at += PageSize {
		list = append(list, uint32((at-uint64(u.base))/PageSize))
	}
	return list
}

func (u *userfaultfd) restart(from, to uint64) {
	u.mustScan(from, to, scanProtect, 0, func(pageRegion) {})
}

// mustScan scans where the kernel has been seen to do it. That fails only for
// want of kernel memory, and going on without knowing what was written would
// be to diverge.
func (u *userfaultfd) mustScan(from, to, flags, anyOf uint64, found func(pageRegion)) {
	if err := u.scan(from, to, flags, anyOf, found); err != nil {
		panic(fmt.Sprintf("paging: scan of written pages: %v", err))
	}
}

func (u *userfaultfd) close() error {
	var errs []error
	for _, fd := range []int{u.pagemap, u.fd} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	_, err := ioctlN(fd, request, arg)
	return err
}

func ioctlN(fd int, request uint, arg unsafe.Pointer) (int, error) {
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

// drop gives pages back to the system; they read as zeros.
func drop(b []byte) {
	if len(b) == 0 {
		return
	}
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		clear(b)
	}
}
