package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"lockstep/host/engine"
)

// engineFlag is the help of a flag that engines reads.
const engineFlag = "compiler, interpreter, auto (the compiler on amd64, else the interpreter), or both"

func engines(name string) ([]engine.Kind, error) {
	if name == "both" {
		return []engine.Kind{engine.Compiler, engine.Interpreter}, nil
	}
	kind, err := engine.ParseKind(name)
	if err != nil {
		return nil, usage("%w, or both", err)
	}
	return []engine.Kind{kind}, nil
}

// guestEngines opens one of each kind, and warns of those that may be wrong here. They are to be closed, with an error too.
func guestEngines(kinds []engine.Kind, warn io.Writer) (open []*engine.Engine, err error) {
	for _, kind := range kinds {
		if warning := kind.Warning(); warning != "" {
			_, _ = fmt.Fprintln(warn, "warning:", warning)
		}
		e, err := guestEngine(kind)
		if err != nil {
			return open, err
		}
		open = append(open, e)
	}
	return open, nil
}

func closeEngines(open []*engine.Engine) {
	for _, e := range open {
		_ = e.Close() // nothing runs any more
	}
}

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
