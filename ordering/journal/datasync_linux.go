package journal

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fsync without what is not needed to read the data again, such as when the file was changed.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
