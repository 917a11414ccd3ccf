package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A real disk that is full: a small one in memory.
func TestDiskFullForReal(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=120m"); err != nil {
		t.Skipf("no disk of its own here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	filled(t, s, func() {
		// All there is, but for what others free in this moment.
		f, err := os.OpenFile(other, os.O_APPEND|os.O_WRONLY, 0)
		for err == nil {
			_, err = f.Write(make([]byte, 64<<10))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		_ = f.Close()
	}, func() {
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
