package engine_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/guesttest"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

func TestConfigValidate(t *testing.T) {
	for _, bad := range []engine.Config{{Kind: engine.Interpreter + 1}, {Workers: -1}, {Workers: 65}} {
		if _, err := engine.New(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if _, err := engine.New(engine.Config{Kind: engine.Compiler, CacheDir: "/dev/null/cache"}); err == nil {
		t.Error("cache below a file: no error")
	}
}

func TestModule(t *testing.T) {
	e := newEngine(t, engine.Config{})
	wasm := guesttest.Module(t, "minimal")
	m, err := e.Compile(wasm, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Digest(), host.ModuleDigest(wasm); got != want {
		t.Errorf("digest is %v, want that of the module as it was given, %v", got, want)
	}
	for name, want := range map[string]bool{wasmabi.ExportApply: true, wasmabi.ExportQuery: false, wasmabi.ExportMemory: false, instrument.ExportGas: false} {
		if got := m.Exports(name); got != want {
			t.Errorf("exports %q: %v, want %v", name, got, want)
		}
	}
	// Instances outlive their module.
	g, err := m.Instantiate()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if o := g.Call(host.Call{Export: wasmabi.ExportApply, Gas: 1000}); o.Status != wasmabi.OK {
		t.Errorf("call after the module was closed: %v", o.Status)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// TestCompileRefuses checks that a bad module is refused in words that do not
// depend on the engine.
func TestCompileRefuses(t *testing.T) {
	minimal := guesttest.Module(t, "minimal")
	// i32.const 0 becomes f32.neg, which no operand is there for.
	invalid := []byte(strings.Replace(string(minimal), "\x41\x00\x0b", "\x8c\x8c\x0b", 1))
	for name, wasm := range map[string][]byte{
		"validated by wazero alone": nested(0x41, 0, 0x28, 9, 0, 0x1a), // an alignment of 512
		"nothing":                   nil, "text": []byte("(module)"), "header": minimal[:8], "cut": minimal[:len(minimal)-3], "invalid body": invalid,
	} {
		var words []string
		for _, kind := range kinds {
			m, err := newEngine(t, engine.Config{Kind: kind, CacheDir: t.TempDir()}).Compile(wasm, 0)
			var refusal *instrument.Refusal
			if m != nil || !errors.As(err, &refusal) {
				t.Fatalf("%s, %v: got %v, want a refusal", name, kind, err)
			}
			words = append(words, err.Error())
		}
		if words[0] != words[1] {
			t.Errorf("%s: refused as %q and %q", name, words[0], words[1])
		}
		if want := "invalid: does not validate"; name == "validated by wazero alone" && words[0] != want {
			t.Errorf("%s: refused as %q, want %q", name, words[0], want)
		}
	}
}

// TestCompileAccepts checks what the zero values allow: memory up to the default, constants that add, and data that nothing copies.
func TestCompileAccepts(t *testing.T) {
	const memory = "\x05\x03\x01\x00\x01"
	e := newEngine(t, engine.Config{})
	compile := func(sections string) error {
		wasm := strings.Replace(string(guesttest.Module(t, "minimal")), memory, sections, 1)
		_, err := e.Compile([]byte(wasm), 0)
		return err
	}
	pages := func(n uint32) string {
		s := binary.AppendUvarint([]byte{1, 0}, uint64(n))
		return string(append([]byte{5, byte(len(s))}, s...))
	}
	var refusal *instrument.Refusal
	if err := compile(pages(host.DefaultMaxMemory)); err != nil {
		t.Errorf("memory of the default limit: %v", err)
	}
	if err := compile(pages(host.DefaultMaxMemory + 1)); !errors.As(err, &refusal) || refusal.Reason != instrument.TooMuchMemory {
		t.Errorf("memory over the default limit: %v", err)
	}
	if err := compile(memory + "\x06\x09\x01\x7f\x00\x41\x01\x41\x02\x6a\x0b"); err != nil {
		t.Errorf("a global of 1 + 2: %v", err)
	}
	if _, err := e.Compile(append(slices.Clip(guesttest.Module(t, "minimal")), "\x0b\x04\x01\x01\x01x"...), 0); err != nil {
		t.Errorf("a passive data segment that nothing copies: %v", err)
	}
}

// TestFailed checks that what a call that failed left cannot become state.
func TestFailed(t *testing.T) {
	for _, kind := range kinds {
		m, err := newEngine(t, engine.Config{Kind: kind}).Compile(nested(0x00), 0)
		if err != nil {
			t.Fatal(err)
		}
		g, err := m.Instantiate()
		if err != nil {
			t.Fatal(err)
		}
		call := host.Call{Export: wasmabi.ExportApply, Gas: 1000}
		for what, misuse := range map[string]func(){"commit": func() { g.Commit() }, "call": func() { g.Call(call) }} {
			if o := g.Call(call); o.Status != wasmabi.Trapped {
				t.Fatalf("got %v", o.Status)
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%v: %s after a failure", kind, what)
					}
				}()
				misuse()
			}()
			g.Undo()
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestInstancesApart runs several instances of a module at once.
func TestInstancesApart(t *testing.T) {
	e := newEngine(t, engine.Config{})
	m, err := e.Compile(guesttest.Module(t, "probe"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			g, err := m.Instantiate()
			if err != nil {
				t.Error(err)
				return
			}
			g.Call(host.Call{Export: wasmabi.ExportInit, Gas: 1_000_000})
			for range 200 * (i + 1) {
				if o := g.Call(host.Call{Export: wasmabi.ExportApply, Input: []byte{1}, Gas: 1_000_000}); o.Status != wasmabi.OK {
					t.Errorf("instance %d: %v", i, o.Status)
				}
				g.Commit()
			}
			if got, want := g.Globals()[0], uint64(101+200*(i+1)); got != want {
				t.Errorf("instance %d counted %d, want %d", i, got, want)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestCacheDamaged checks that whatever is in the cache folder, a module
// compiles and runs.
func TestCacheDamaged(t *testing.T) {
	dir := t.TempDir()
	compile := func() {
		t.Helper()
		e := newEngine(t, engine.Config{Kind: engine.Compiler, CacheDir: dir})
		m, err := e.Compile(guesttest.Module(t, "probe"), 0)
		if err != nil {
			t.Fatal(err)
		}
		g, err := m.Instantiate()
		if err != nil {
			t.Fatal(err)
		}
		if o := g.Call(host.Call{Export: wasmabi.ExportInit, Gas: 1_000_000}); o.Status != wasmabi.OK {
			t.Errorf("init: %v", o.Status)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	compile()
	files, err := filepath.Glob(filepath.Join(dir, "code-*", "wazero-*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("cache holds %v, %v; want one file", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(string(whole))
	flipped[len(flipped)/2] ^= 1
	for name, damaged := range map[string][]byte{"empty": {}, "cut": whole[:len(whole)/2], "flipped": flipped, "other": []byte("WAZEVO\x01x and more of something else")} {
		if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		compile()
		if repaired, err := os.ReadFile(files[0]); err != nil || string(repaired) != string(whole) {
			t.Errorf("%s: cache was not repaired, %v", name, err)
		}
	}
	// A folder that cannot be written costs the cache, not the machine.
	if err := os.RemoveAll(filepath.Dir(files[0])); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, engine.Config{Kind: engine.Compiler, CacheDir: dir})
	if err := os.RemoveAll(filepath.Dir(files[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile(guesttest.Module(t, "minimal"), 0); err != nil {
		t.Errorf("compile without a cache folder: %v", err)
	}
}

// BenchmarkApply measures what the host adds to a call: an empty apply, and
// one put of the store.
func BenchmarkApply(b *testing.B) {
	for _, kind := range kinds {
		e := newEngine(b, engine.Config{Kind: kind, Workers: 2})
		b.Run("empty/"+kind.String(), func(b *testing.B) {
			g := instance(b, e, guesttest.Module(b, "minimal"))
			call := host.Call{Export: wasmabi.ExportApply, Gas: 1_000_000}
			b.ReportAllocs()
			for b.Loop() {
				if o := g.Call(call); o.Status != wasmabi.OK {
					b.Fatal(o.Status)
				}
			}
		})
		b.Run("put/"+kind.String(), func(b *testing.B) {
			g := instance(b, e, kv.V1)
			call := host.Call{Export: wasmabi.ExportApply, Input: kv.Put("some key", make([]byte, 128)), Gas: 1_000_000_000}
			b.ReportAllocs()
			for b.Loop() {
				if o := g.Call(call); o.Status != wasmabi.OK {
					b.Fatal(o.Status)
				}
			}
		})
	}
}

// BenchmarkPutCommitted measures a put with the commit that follows it, and one
// that is undone.
func BenchmarkPutCommitted(b *testing.B) {
	e := newEngine(b, engine.Config{Workers: 2})
	call := host.Call{Export: wasmabi.ExportApply, Input: kv.Put("some key", make([]byte, 128)), Gas: 1_000_000_000}
	for name, end := range map[string]func(host.Guest) int{
		"commit": func(g host.Guest) int { return len(g.Commit()) },
		"undo":   func(g host.Guest) int { g.Undo(); return 0 },
	} {
		b.Run(name, func(b *testing.B) {
			g := instance(b, e, kv.V1)
			pages := 0
			for b.Loop() {
				if o := g.Call(call); o.Status != wasmabi.OK {
					b.Fatal(o.Status)
				}
				pages += end(g)
			}
			b.ReportMetric(float64(pages)/float64(b.N), "pages/op")
		})
	}
}

// BenchmarkCompile measures from the module's bytes to code, and to an instance
// where the code is in the cache.
func BenchmarkCompile(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.String(), func(b *testing.B) {
			for b.Loop() {
				m, err := newEngine(b, engine.Config{Kind: kind, Workers: 2}).Compile(kv.V1, 0)
				if err != nil {
					b.Fatal(err)
				}
				_ = m.Close()
			}
		})
	}
	b.Run("cached", func(b *testing.B) {
		dir := b.TempDir()
		compile := func() {
			if _, err := newEngine(b, engine.Config{Kind: engine.Compiler, CacheDir: dir}).Compile(kv.V1, 0); err != nil {
				b.Fatal(err)
			}
		}
		compile()
		for b.Loop() {
			compile()
		}
	})
}

// instance is one that was brought up.
func instance(b *testing.B, e *engine.Engine, wasm []byte) host.Guest {
	b.Helper()
	m, err := e.Compile(wasm, 0)
	if err != nil {
		b.Fatal(err)
	}
	g, err := m.Instantiate()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close() })
	if o := g.Call(host.Call{Export: wasmabi.ExportInit, Gas: 1_000_000_000}); o.Status != wasmabi.OK {
		b.Fatal(o.Status)
	}
	g.Commit()
	return g
}

// BenchmarkTrap measures an input that traps and is undone, which costs a
// client nothing.
func BenchmarkTrap(b *testing.B) {
	e := newEngine(b, engine.Config{})
	for name, input := range map[string][]byte{"unreachable": {3}, "exit": {17}, "grow": {7, 1, 0, 0, 0}} {
		b.Run(name, func(b *testing.B) {
			g := instance(b, e, guesttest.Module(b, "probe"))
			call := host.Call{Export: wasmabi.ExportApply, Input: input, Gas: 1_000_000}
			for b.Loop() {
				if o := g.Call(call); o.Status != wasmabi.Trapped {
					b.Fatal(o.Status)
				}
				g.Undo()
			}
		})
	}
}
