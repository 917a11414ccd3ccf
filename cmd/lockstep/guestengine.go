package main

import (
	"os"
	"path/filepath"
	"runtime"

	"lockstep/host/engine"
)

// guestEngine runs guests for whoever writes them: traces name lines of the source, and what was compiled once is
// kept in the user's cache, so that the next run begins at once.
func guestEngine(kind engine.Kind) (*engine.Engine, error) {
	config := engine.Config{Kind: kind, Workers: runtime.GOMAXPROCS(0), Lines: true}
	if cache, err := os.UserCacheDir(); err == nil && kind.Resolve() == engine.Compiler {
		config.CacheDir = filepath.Join(cache, "lockstep")
	}
	e, err := engine.New(config)
	if err != nil && config.CacheDir != "" { // of a user who has no place for it
		config.CacheDir = ""
		e, err = engine.New(config)
	}
	return e, err
}
