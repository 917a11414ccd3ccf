package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cacheErrorPrefix begins wazero's errors about the content of its cache.
const cacheErrorPrefix = "compilationcache: "

// dropCache empties the compilation cache if err says that what it holds is
// damaged. A cache that cannot be read must not keep a machine from starting.
func (e *Engine) dropCache(err error) {
	if e.cache == nil || !strings.Contains(err.Error(), cacheErrorPrefix) {
		return
	}
	_ = filepath.WalkDir(e.config.CacheDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasPrefix(filepath.Base(filepath.Dir(path)), "wazero-") {
			_ = os.Remove(path)
		}
		return nil
	})
}
