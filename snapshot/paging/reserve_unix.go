//go:build linux || darwin

package paging

import "golang.org/x/sys/unix"

// reserve takes address space that gets memory page by page, when written.
func reserve(size uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

func release(b []byte) error { return unix.Munmap(b) }
