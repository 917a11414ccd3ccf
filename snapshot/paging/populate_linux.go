package paging

import "golang.org/x/sys/unix"

// populate takes memory for a range that is about to be written, in one call instead of
// a fault for each page. Linux 5.14 and later; where it is not done, the faults do it.
func populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

// sparse has a range take memory by the page, and not by the huge page: few of its pages
// are written.
func sparse(b []byte) { _ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) }

// drop gives pages back to the system; they read as zeros.
func drop(b []byte) {
	if len(b) == 0 {
		return
	}
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		clear(b)
	}
}
