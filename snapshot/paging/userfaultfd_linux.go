package paging

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/snapshot"
)

// userfaultfd tracks writes by asynchronous write protection
// (UFFD_FEATURE_WP_ASYNC, Documentation/admin-guide/mm/userfaultfd.rst) and
// PAGEMAP_SCAN. A page that was written stays the working memory's own when it is
// committed, and is protected: the next write to it costs less than another copy
// of the file's.
type userfaultfd struct {
	*file
	fd      int
	pagemap *pagemap
	there   snapshot.PageSet // pages that the working memory has, as far as scans have told
	tables  snapshot.PageSet // page tables that it has, likewise
	scanned bool             // since the last settle
	hit     int              // tables in which the scan found pages
	passed  int              // pages that all scans since all were last given back have passed over
}

// Layouts and numbers of the kernel's linux/userfaultfd.h.
const (
	uffdUserModeOnly = 1

	uffdAPI        = 0xaa
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	uffdFeatures   = 1<<0 | 1<<15 // PAGEFAULT_FLAG_WP, WP_ASYNC
	uffdRegisterWP = 1 << 1
)

type uffdioAPIArg struct{ api, features, ioctls uint64 }

type uffdioRegisterArg struct{ start, length, mode, ioctls uint64 }

// newUserfaultfd starts a tracker on memories that it takes over.
func newUserfaultfd(memories *file) (_ tracker, err error) {
	u := &userfaultfd{file: memories, fd: -1}
	if err := u.open(); err != nil {
		return nil, errors.Join(err, u.closeTracker())
	}
	return u, nil
}

func (u *userfaultfd) open() error {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return fmt.Errorf("userfaultfd: %w", errno)
	}
	u.fd = int(fd)
	api := uffdioAPIArg{api: uffdAPI, features: uffdFeatures}
	if _, err := ioctl(u.fd, uffdioAPI, unsafe.Pointer(&api)); err != nil {
		return fmt.Errorf("userfaultfd features: %w", err)
	}
	if err := u.register(); err != nil {
		return err
	}
	var err error
	if u.pagemap, err = openPagemap(u.live); err != nil {
		return err
	}
	return u.probe()
}

func (u *userfaultfd) register() error {
	reg := uffdioRegisterArg{start: uint64(uintptr(unsafe.Pointer(&u.live[0]))), length: uint64(len(u.live)), mode: uffdRegisterWP}
	if _, err := ioctl(u.fd, uffdioRegister, unsafe.Pointer(&reg)); err != nil {
		return fmt.Errorf("userfaultfd register: %w", err)
	}
	return nil
}

// probe writes to the first page, has it be protected, and writes to it again: the scan must tell.
func (u *userfaultfd) probe() error {
	told := 0
	for range 2 {
		u.live[0] = 1
		for range 2 {
			if err := u.scan(0, PageSize, scanProtect, func(pageRegion) { told++ }); err != nil {
				return fmt.Errorf("scan pagemap: %w", err)
			}
		}
	}
	if u.drop(page(u.live, 0)); told != 2 || u.live[0] != 0 {
		return fmt.Errorf("pagemap does not tell written pages: %w", errors.ErrUnsupported)
	}
	return nil
}

// scan lists the regions of a range that are there and not protected, and with scanProtect protects them.
// The kernel is three times as fast if it need not look whether they are there.
func (u *userfaultfd) scan(from, to, flags uint64, found func(pageRegion)) error {
	ask := scanArg{flags: flags, mask: pageIsWritten, anyOf: pageIsThere, returned: pageIsWritten}
	if u.there.Len() >= int(to/PageSize) {
		ask.anyOf = 0
	}
	return u.pagemap.scan(from, to, ask, found)
}

func (u *userfaultfd) peek(from, to uint64, list []uint32) []uint32 {
	if from == to {
		return list
	}
	u.mustScan(from, to, scanCheckAsync, func(r pageRegion) { list = r.list(u.pagemap.base, list) })
	u.there.Add(list...)
	u.scanned, u.hit = true, 0
	last := -1
	for _, i := range list {
		if table := int(i / tablePages); table != last {
			u.tables.Add(uint32(table))
			u.hit, last = u.hit+1, table
		}
	}
	return list
}

// nearby is the number of pages between two runs up to which one scan over all costs
// less than one of each: a scan interrupts the other processors, which costs
// thousands of times what it costs to pass over a page.
const nearby = 1024

func (u *userfaultfd) protect(pages []uint32) {
	runs(pages, nearby, func(from, to uint64) { u.mustScan(from, to, scanProtect, func(pageRegion) {}) })
}

// A scan costs with the pages that the working memory has, and with the page tables, however few pages
// one has. So all are given back once scans have passed over them so often that it cost as much as it does to have
// them once more, a fault for each: neither costs more than twice what knowing the future would.
const (
	passedOwn   = 256 // times that a page is passed over
	passedLight = 64  // pages that each scan may pass over
	tablePages  = 512 // entries of a page table, which cost as much where there is no page
)

func (u *userfaultfd) settle(pages []uint32, changed int) {
	if u.scanned {
		vain := u.tables.Len() - min(u.hit, changed)
		if over := max(u.there.Len(), vain*tablePages); over > passedLight {
			u.passed += over
		}
		u.scanned = false
	}
	if u.passed > passedOwn*max(u.there.Len(), passedLight) {
		u.giveAllBack()
	} else {
		u.protect(pages)
	}
}

// giveAllBack maps the working memory anew: what is merely dropped leaves behind that it was
// protected, which scans would pass over.
func (u *userfaultfd) giveAllBack() {
	base := unsafe.Pointer(&u.live[0])
	_, err := unix.MmapPtr(u.file.fd, 0, base, uintptr(len(u.live)), readWrite, unix.MAP_PRIVATE|unix.MAP_NORESERVE|unix.MAP_FIXED)
	if err == nil {
		err = u.register()
	}
	if err != nil {
		panic(fmt.Sprintf("paging: map memory anew: %v", err))
	}
	u.passed = 0
	u.there.Cut(0)
	u.tables.Cut(0)
}

func (u *userfaultfd) cut(from, to uint64) {
	u.file.cut(from, to)
	u.there.Cut(uint32(from / PageSize))
	u.tables.Cut(uint32((from + tablePages*PageSize - 1) / (tablePages * PageSize)))
}

// shed is for pages that were written, and so are not protected: these leave nothing behind.
func (u *userfaultfd) shed(pages []uint32) {
	u.giveBack(pages...)
	for _, i := range pages {
		u.there.Remove(i)
	}
}

// mustScan scans where the kernel has been seen to do it. That fails only for
// want of kernel memory, and going on without knowing what was written would
// be to diverge.
func (u *userfaultfd) mustScan(from, to, flags uint64, found func(pageRegion)) {
	if err := u.scan(from, to, flags, found); err != nil {
		panic(fmt.Sprintf("paging: scan of written pages: %v", err))
	}
}

func (u *userfaultfd) closeTracker() error {
	var errs []error
	if u.pagemap != nil {
		errs = append(errs, u.pagemap.close())
	}
	if u.fd >= 0 {
		errs = append(errs, unix.Close(u.fd))
	}
	return errors.Join(errs...)
}

func (u *userfaultfd) close() error { return errors.Join(u.closeTracker(), u.file.close()) }
