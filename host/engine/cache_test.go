package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/host/guesttest"
	"lockstep/wasmabi/instrument"
)

// The cache takes no more room than it may, and forgets the oldest first; code of another build is removed, and nothing else.
func TestCacheRoom(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{"code-profile0-wazero-v0.0.1/wazero-x/f", "other/f"} {
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 10), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := openCacheDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(parent, "code-profile0-wazero-v0.0.1")); !os.IsNotExist(err) {
		t.Errorf("code of another build is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(parent, "other", "f")); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("code-profile%d-wazero-%s", instrument.Profile, wazeroVersion); filepath.Base(dir) != want {
		t.Errorf("code is in %s, want %s", dir, want)
	}
	now := time.Now()
	for i, name := range []string{"new", "old", "middle"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-[]time.Duration{0, 2 * time.Hour, time.Hour}[i])
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	trimCache(dir, 250)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "middle" || filepath.Base(left[1]) != "new" {
		t.Errorf("left are %v, %v; want middle and new", left, err)
	}
}

// Room is made where more is about to be kept.
func TestCacheTrimmed(t *testing.T) {
	e, err := New(Config{Kind: Compiler, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	old := filepath.Join(e.cacheDir, "old")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(old, maxCache+1); err != nil { // of holes
		t.Fatal(err)
	}
	if _, err := e.Compile(guesttest.Module(t, "minimal"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("what does not fit is still there: %v", err)
	}
}

// Machine code is for one version of wazero.
func TestWazeroVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\tgithub.com/tetratelabs/wazero " + wazeroVersion + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod has another version than %s: change wazeroVersion, and see whether docs/engine-bugs.md still holds", wazeroVersion)
	}
}
