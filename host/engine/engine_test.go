package engine_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/guesttest"
	"lockstep/snapshot/paging"
)

// codeDir keeps compiled code between the tests of one run.
var codeDir string

func TestMain(m *testing.M) {
	var err error
	if codeDir, err = os.MkdirTemp("", "engine-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(codeDir)
	os.Exit(code)
}

var kinds = []engine.Kind{engine.Compiler, engine.Interpreter}

func newEngine(t testing.TB, config engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return e
}

// opener gives instances of one engine. Each module is compiled once.
func opener(t testing.TB, config engine.Config) guesttest.Open {
	config.CacheDir, config.Workers = codeDir, 2
	e := newEngine(t, config)
	compiled := make(map[string]*engine.Module)
	return func(t testing.TB, wasm []byte) host.Guest {
		t.Helper()
		m := compiled[string(wasm)]
		if m == nil {
			var err error
			if m, err = e.Compile(wasm, 512); err != nil {
				t.Fatal(err)
			}
			compiled[string(wasm)] = m
		}
		g, err := m.Instantiate()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

// configs are all ways to run a guest: the engines, and the trackers of written
// pages; one that a machine lacks falls back to another.
func configs() map[string]engine.Config {
	all := make(map[string]engine.Config)
	for _, kind := range kinds {
		for tracker := paging.Kind(0); !strings.HasPrefix(tracker.String(), "tracker "); tracker++ {
			all[kind.String()+"/"+tracker.String()] = engine.Config{Kind: kind, Tracker: tracker}
		}
	}
	return all
}

func TestGuest(t *testing.T) {
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) { guesttest.Run(t, opener(t, config)) })
	}
}
