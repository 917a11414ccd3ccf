package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fullEnv is set in a process of its own that may mount, and holds the folder on
// which it is to.
const fullEnv = "LOCKSTEP_TEST_FULL_DISK"

// smallDisk is a file system of 192 MiB, of which others have 92. In 100 there is room for the ballast, two
// checkpoints, and what every write leaves until it is cleaned up.
const smallDisk = "size=192m"

// A real disk that is full: a small one in memory. Where nobody may mount one, not
// even in a user's own namespaces, the files are on the disk there is, and what
// is full is a quota on them.
func TestDiskFullForReal(t *testing.T) {
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, smallDisk); err != nil {
			_, _ = fmt.Fprintln(os.Stdout, notMounted) // for the process that started this one
			t.Skip("no disk of its own here either: the process that started this one has another way")
		}
		fillForReal(t, dir)
		return
	}
	dir := t.TempDir()
	mounted := syscall.Mount("tmpfs", dir, "tmpfs", 0, smallDisk)
	if mounted == nil {
		fillForReal(t, detached(t, dir))
		return
	}
	out, err := inNamespaces(dir)
	switch {
	case err == nil && !strings.Contains(out, notMounted):
		t.Logf("in namespaces of its own, since %v", mounted)
	case err != nil && strings.Contains(out, "--- FAIL"):
		t.Errorf("in namespaces of its own: %v\n%s", err, out)
	default:
		t.Logf("no disk of its own: %v; in namespaces: %v", mounted, err)
		fillQuota(t, dir)
	}
}

// detached takes a file system from the tree of folders. It is there as long as this process has it open, and
// goes with it however that ends. The path leads to it.
func detached(t *testing.T, dir string) (path string) {
	t.Helper()
	f, err := os.Open(dir)
	if err = errors.Join(err, syscall.Unmount(dir, syscall.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
}

const notMounted = "cannot mount"

// inNamespaces runs the test in a process that is root of its own, and sees mounts
// of its own.
func inNamespaces(dir string) (string, error) {
	c := exec.Command(os.Args[0], "-test.run=^TestDiskFullForReal$", "-test.v")
	c.Env = append(os.Environ(), fullEnv+"="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	return string(out), err
}

// fillForReal fills a disk up to its last byte.
func fillForReal(t *testing.T, dir string) {
	t.Helper()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 92<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := func() {
		// All there is, but for what others free in this moment.
		f, err := os.OpenFile(other, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		for err == nil {
			_, err = f.Write(make([]byte, 64<<10))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	give := func() {
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	}
	store := filepath.Join(dir, "store")
	s, err := Open(store)
	if err != nil {
		t.Fatal(err)
	}
	kept := filled(t, s, fill, give)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// A node starts on a disk that is full, on the ballast, and has all that was saved. Where that is gone too it says
	// so, and starts when there is room.
	fill()
	if s, err = Open(store); err != nil {
		t.Fatalf("open on a full disk, with ballast: %v", err)
	}
	wantKept(t, s, kept)
	if s.Room() == nil {
		t.Error("the store says that there is room")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	fill()
	var full *FullError
	if s, err := Open(store); !errors.As(err, &full) {
		t.Fatalf("open on a full disk: %v, %v, want a *FullError", s, err)
	} else if text := full.Error(); !strings.Contains(text, "is full") || !strings.Contains(text, "make room") {
		t.Errorf("open on a full disk says %q", text)
	}
	give()
	if s, err = Open(store); err != nil {
		t.Fatal(err)
	}
	wantKept(t, s, kept)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// fillQuota is fillForReal with real files, and a quota instead of their disk.
func fillQuota(t *testing.T, dir string) {
	t.Helper()
	q := newQuota(120<<20, false)
	q.FS = vfs.Default
	s, err := open(filepath.Join(dir, "store"), q, false)
	if err != nil {
		t.Fatal(err)
	}
	kept := filled(t, s, func() { q.give(-q.left()) }, func() { q.give(200 << 20) })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = Open(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	wantKept(t, s, kept)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The two other ways of the test above are tried where the first would do.
func TestDiskFullOtherWays(t *testing.T) {
	if out, err := inNamespaces(t.TempDir()); err != nil && strings.Contains(out, "--- FAIL") {
		t.Errorf("in namespaces of its own: %v\n%s", err, out)
	} else {
		t.Logf("in namespaces: %v, mounted: %v", err, !strings.Contains(out, notMounted))
	}
	fillQuota(t, t.TempDir())
}
