package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lock takes the data folder for this process, making it where there is none.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w: choose another with --data, or let this user write there", err)
	}
	path := filepath.Join(dir, "lock")
	l := flock.New(path, flock.SetPermissions(0o600))
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w: does it belong to another user?", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("data folder %s is in use by another process%s: stop it, or choose another folder with --data", dir, holder(path))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write to data folder: %w", err)
	}
	return func() { _ = l.Unlock() }, nil // the process ends, and the lock with it
}

// holder is the process that says it holds a lock.
func holder(path string) string {
	text, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return ""
	}
	return " (" + pid + ")"
}

// private wants a file with a secret to be its owner's alone.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return fmt.Errorf("key %s can be read by others (mode %04o): chmod 600 %s", path, mode, path)
	}
	return nil
}
