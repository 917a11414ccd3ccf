package engine_test

import (
	"testing"

	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/guesttest"
)

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

func TestGuest(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			guesttest.Run(t, opener(t, engine.Config{Kind: kind}))
		})
	}
}
