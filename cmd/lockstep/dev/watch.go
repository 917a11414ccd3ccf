package dev

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long nothing must change until a change is over: editors write
// a file in several steps.
const settle = 150 * time.Millisecond

// watch tells when something in the project's folder has changed that is not what
// the build writes. With nothing to watch the channel is nil.
func (s *session) watch() (changed <-chan struct{}, stop func(), err error) {
	if !s.Watch {
		return nil, func() {}, nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, nil, fmt.Errorf("watch for changes: %w", err)
	}
	if err := addFolders(w, s.Project.Dir); err != nil {
		_ = w.Close()
		return nil, nil, fmt.Errorf("watch for changes: %w", err)
	}
	out := make(chan struct{}, 1)
	go func() {
		quiet := time.NewTimer(settle)
		quiet.Stop()
		for {
			select {
			case e, more := <-w.Events:
				if !more {
					return
				}
				if s.source(e.Name) {
					_ = addFolders(w, e.Name) // if it is a new folder
					quiet.Reset(settle)
				}
			case _, more := <-w.Errors: // it goes on with what it can see
				if !more {
					return
				}
			case <-quiet.C:
				select {
				case out <- struct{}{}:
				default:
				}
			}
		}
	}()
	return out, func() { _ = w.Close() }, nil
}

// source reports whether a path is one that the guest is built from: hidden
// files are editors', and modules are built.
func (s *session) source(path string) bool {
	if filepath.Clean(path) == filepath.Clean(s.Project.Module()) {
		return s.Project.Build == "" // somebody else builds it
	}
	name := filepath.Base(path)
	return s.Project.Build != "" && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") && filepath.Ext(name) != ".o"
}

// skipped are folders that builds fill.
var skipped = map[string]bool{"target": true, "node_modules": true, "build": true, "zig-cache": true}

func addFolders(w *fsnotify.Watcher, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != dir && (strings.HasPrefix(name, ".") || skipped[name]) {
			return fs.SkipDir
		}
		return w.Add(path)
	})
}
