package differential

import (
	"flag"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tetratelabs/wazero"

	"lockstep/wasmabi/instrument"
)

var (
	modules = flag.Uint64("modules", 8000, "random modules to compare")
	first   = flag.Uint64("first", 1, "seed of the first")
)

// allowance is the gas of a call: plenty where a module ends by itself.
func allowance(tame bool) int64 {
	if tame {
		return 1 << 40
	}
	return 50_000
}

// engines are all ways to run a module.
type engines struct {
	compiler, interpreter runner
	v8                    *v8
}

func newEngines(t testing.TB) engines {
	return engines{onWazero(wazero.NewRuntimeConfigCompiler()), onWazero(wazero.NewRuntimeConfigInterpreter()), startV8(t)}
}

// Random modules do the same wherever they run.
func TestRandomModules(t *testing.T) {
	var next atomic.Uint64
	var workers sync.WaitGroup
	var mu sync.Mutex
	ends := make(map[string]int)
	for range 2 {
		workers.Go(func() {
			e := newEngines(t)
			for !t.Failed() {
				n := next.Add(1) - 1
				if n >= *modules {
					return
				}
				o, err := e.compare(*first+n, n%2 == 0)
				if err != nil {
					t.Errorf("seed %d, tame %v: %v", *first+n, n%2 == 0, err)
				}
				mu.Lock()
				for _, c := range o.Calls {
					ends[c.End]++
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("calls by how they ended: %v", ends)
	for _, end := range []string{"", "unreachable", "memory", "divide", "overflow", "conversion", "table", "call type", "gas", "stack"} {
		if ends[end] == 0 {
			t.Errorf("no call of %d modules ended as %q: the generator misses it", *modules, end)
		}
	}
}

// compare runs a module in all ways.
func (e engines) compare(seed uint64, tame bool) (outcome, error) {
	wasm, calls := generated(seed, tame)
	return e.all(wasm, calls, tame, allowance(tame), 0)
}

// generated is the module of a seed and the calls of it that are compared.
func generated(seed uint64, tame bool) (wasm []byte, calls []call) {
	wasm, roots := generate(seed, tame)
	for i := range 2 * len(roots) {
		c := call{Name: fmt.Sprint("f", i%len(roots))}
		if roots[i%len(roots)] != 0 {
			c.Results = []string{"i64"}
		}
		calls = append(calls, c)
	}
	return wasm, calls
}

func (e engines) all(wasm []byte, calls []call, tame bool, gas int64, pages uint32) (outcome, error) {
	m, err := instrument.Instrument(wasm, instrument.Config{MaxMemoryPages: pages})
	if err != nil {
		return outcome{}, err
	}
	want, err := e.compiler(task{m.Wasm, calls, gas, 0})
	if err != nil {
		return want, err
	}
	if err := same(want, e.interpreter, task{m.Wasm, calls, 0, gas}); err != nil {
		return want, fmt.Errorf("interpreter: %w", err)
	}
	if err := same(asV8(want), e.v8.run, task{m.Wasm, calls, 1000, gas - 1000}); err != nil {
		return want, fmt.Errorf("V8: %w", err)
	}
	if !tame {
		return want, nil
	}
	plain := outcome{}
	for _, c := range want.Calls {
		c.Gas = ""
		plain.Calls = append(plain.Calls, c)
	}
	if err := same(asV8(plain), e.v8.run, task{wasm, calls, 0, 0}); err != nil {
		return want, fmt.Errorf("V8 without instrumentation: %w", err)
	}
	return want, nil
}

// same runs a task and compares.
func same(want outcome, run runner, task task) error {
	got, err := run(task)
	if err == nil && !reflect.DeepEqual(got, want) {
		err = fmt.Errorf("got\n%+v, want that of the compiler,\n%+v", got, want)
	}
	return err
}
