//go:build linux || darwin

package doctor

import (
	"net"
	"os"
	"syscall"
)

// diskFree is what is left for a server's files, if they are on this machine, else -1.
func diskFree(host, dir string) int64 {
	ip := net.ParseIP(host)
	own, _ := os.Hostname()
	if dir == "" || host != own && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return -1
	}
	return DiskFree(dir)
}

// DiskFree is what a user may still write on the disk of a folder, in bytes, or -1.
func DiskFree(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize) //nolint:unconvert // Bsize has another type on darwin
}
