package engine

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep/wasmabi/instrument"
)

// The cache of machine code is a folder of Config.CacheDir. Its name is all that the code depends on besides the
// module, its CPU and its operating system, which wazero's file names tell: the profile of the rewriting and wazero's version.
// A host of another build makes a folder of its own, and removes the ones that it cannot use.

// cachePrefix begins the name of such a folder.
const cachePrefix = "code-"

// maxCache bounds the bytes of machine code on disk. The oldest goes first.
const maxCache = 2 << 30

// wazeroVersion is that of the library, whose words trap.go has, too. A test compares it with go.mod, for
// what a program knows of its libraries depends on how it was built.
const wazeroVersion = "v1.12.0"

// openCacheDir makes the folder.
func openCacheDir(parent string) (string, error) {
	name := fmt.Sprintf("%sprofile%d-wazero-%s", cachePrefix, instrument.Profile, wazeroVersion)
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make compilation cache: %w", err)
	}
	others, err := filepath.Glob(filepath.Join(parent, cachePrefix+"*"))
	if err != nil {
		return "", fmt.Errorf("list compilation cache: %w", err)
	}
	for _, other := range others {
		if filepath.Base(other) != name {
			_ = os.RemoveAll(other) // it takes room and does no harm
		}
	}
	return dir, nil
}

// cacheErrorPrefix begins wazero's errors about the content of its cache.
const cacheErrorPrefix = "compilationcache: "

// dropCache empties the compilation cache if err says that what it holds is
// damaged. A cache that cannot be read must not keep a machine from starting.
func (e *Engine) dropCache(err error) {
	if e.cache != nil && strings.Contains(err.Error(), cacheErrorPrefix) {
		trimCache(e.cacheDir, -1) // those without bytes, too
	}
}

// trimCache removes the oldest files until the rest has no more bytes than may be.
func trimCache(dir string, limit int64) {
	type file struct {
		path string
		size int64
		at   time.Time
	}
	var files []file
	total := int64(0)
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // what cannot be read is no concern of this
		}
		if info, err := entry.Info(); err == nil {
			files = append(files, file{path, info.Size(), info.ModTime()})
			total += info.Size()
		}
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.path, b.path)) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if os.Remove(f.path) == nil {
			total -= f.size
		}
	}
}
