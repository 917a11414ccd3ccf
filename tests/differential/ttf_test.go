package differential

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"lockstep/wasmabi/instrument"
)

var translated = flag.Uint64("translated", 400, "modules of binaryen's fuzzer to compare")

// Modules of binaryen's fuzzer do the same wherever they run; every second one
// computes without NaNs and is run without instrumentation too.
func TestBinaryenModules(t *testing.T) {
	var next atomic.Uint64
	var workers sync.WaitGroup
	var mu sync.Mutex
	ran, refused := 0, make(map[instrument.Reason]int)
	ends := make(map[string]int)
	for range 2 {
		dir := t.TempDir()
		workers.Go(func() {
			e := newEngines(t)
			for !t.Failed() {
				n := next.Add(1) - 1
				if n >= *translated {
					return
				}
				wasm, err := translate(dir, *first+n)
				if err != nil {
					t.Error(err)
					return
				}
				calls, err := exportsOf(wasm)
				if err != nil {
					t.Errorf("seed %d: %v", *first+n, err)
					return
				}
				o, err := e.all(wasm, calls, denan(*first+n), 1<<30, fuzzPages)
				mu.Lock()
				var refusal *instrument.Refusal
				switch {
				case errors.As(err, &refusal):
					refused[refusal.Reason]++
				case err != nil:
					t.Errorf("seed %d: %v", *first+n, err)
				default:
					ran++
				}
				for _, c := range o.Calls {
					ends[c.End]++
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d modules ran, refused were %v; calls by how they ended: %v", ran, refused, ends)
	if uint64(ran) < *translated/2 {
		t.Errorf("only %d of %d modules ran", ran, *translated)
	}
}

func denan(seed uint64) bool { return seed%2 == 0 }

// fuzzPages is what such a module has in the beginning. It declares one more, which
// is then all that the instrumented one declares too.
const fuzzPages = 16

// translate has wasm-opt make a module of random bytes. Without vectors: with them
// it imports a function that takes one, which JavaScript cannot call.
func translate(dir string, seed uint64) ([]byte, error) {
	source := rand.New(rand.NewPCG(seed, 78))
	data := make([]byte, 200+source.IntN(6000))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out.wasm")
	if err := os.WriteFile(in, data, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-ttf", in, "-o", out, "--enable-bulk-memory", "--enable-sign-ext", "--enable-nontrapping-float-to-int", "--enable-mutable-globals", "--enable-multivalue"}
	if denan(seed) {
		args = append(args, "--denan")
	}
	if text, err := exec.Command("wasm-opt", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("wasm-opt (of binaryen, which these tests need): %w\n%s", err, text)
	}
	return os.ReadFile(out)
}

// exportsOf gives the functions that can be called from anywhere.
func exportsOf(wasm []byte) (calls []call, err error) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	for _, f := range m.ExportedFunctions() {
		c := call{Name: f.ExportNames()[0]}
		for _, t := range f.ParamTypes() {
			c.Params = append(c.Params, letter(t))
		}
		for _, t := range f.ResultTypes() {
			c.Results = append(c.Results, letter(t))
		}
		if !c.has("v128") {
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(a.Name, b.Name) })
	hang := call{Name: "hangLimitInitializer"} // sets how far loops may go
	var all []call
	for _, c := range calls {
		if c.Name != hang.Name {
			all = append(all, hang, c)
		}
	}
	return all, nil
}

func letter(t api.ValueType) string {
	if t == v128 {
		return "v128"
	}
	return api.ValueTypeName(t)
}
