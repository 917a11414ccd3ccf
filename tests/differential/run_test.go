package differential

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"lockstep/wasmabi/instrument"
)

// task is a module to run: its exports are called in order.
type task struct {
	Wasm  []byte `json:"wasm"`
	Calls []call `json:"calls"`
	// Of each call, handed out at first and later.
	Gas     int64 `json:"gas"`
	Reserve int64 `json:"reserve"`
}

// call is one of a function, with zeros for parameters.
type call struct {
	Name    string   `json:"name"`
	Params  []string `json:"params"` // types
	Results []string `json:"results"`
}

func (c call) has(typ string) bool {
	return slices.Contains(c.Params, typ) || slices.Contains(c.Results, typ)
}

// outcome is all that can be seen of a task.
type outcome struct {
	Calls []callOutcome `json:"calls"`
	Error string        `json:"error"`
}

type callOutcome struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	End    string `json:"end"`    // empty if the call returned
	Gas    string `json:"gas"`    // empty without instrumentation
	Memory string `json:"memory"` // digest of it, globals included
}

// runner runs tasks on one engine.
type runner func(task) (outcome, error)

// onWazero runs tasks on wazero, each in a runtime of its own.
func onWazero(config wazero.RuntimeConfig) runner {
	config = config.WithDebugInfoEnabled(false)
	return func(task task) (o outcome, err error) {
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, config)
		defer func() { err = errors.Join(err, r.Close(ctx)) }()
		if err := provide(ctx, r, task.Wasm); err != nil {
			return o, err
		}
		m, err := r.InstantiateWithConfig(ctx, task.Wasm, wazero.NewModuleConfig().WithStartFunctions())
		if err != nil {
			return o, err
		}
		i := instance{m, task}
		calls := task.Calls
		if m.ExportedFunction(instrument.ExportStart) != nil {
			calls = append([]call{{Name: instrument.ExportStart}}, calls...)
		}
		for _, f := range calls {
			c := i.call(ctx, f)
			if m.ExportedFunction("dump") != nil {
				i.call(ctx, call{Name: "dump"})
			}
			if m.Memory() != nil {
				all, _ := m.Memory().Read(0, m.Memory().Size())
				sum := sha256.Sum256(all)
				c.Memory = hex.EncodeToString(sum[:4])
			}
			o.Calls = append(o.Calls, c)
		}
		return o, nil
	}
}

// provide makes the functions that a module imports. They do nothing.
func provide(ctx context.Context, r wazero.Runtime, wasm []byte) error {
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	modules := make(map[string]wazero.HostModuleBuilder)
	for _, f := range m.ImportedFunctions() {
		from, name, _ := f.Import()
		if modules[from] == nil {
			modules[from] = r.NewHostModuleBuilder(from)
		}
		none := api.GoFunc(func(context.Context, []uint64) {})
		modules[from].NewFunctionBuilder().WithGoFunction(none, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range modules {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

type instance struct {
	api.Module
	task
}

func (i instance) global(name string) api.MutableGlobal {
	g, _ := i.ExportedGlobal(name).(api.MutableGlobal)
	return g
}

func (i instance) call(ctx context.Context, c call) callOutcome {
	gas, reserve, stack := i.global(instrument.ExportGas), i.global(instrument.ExportReserve), i.global(instrument.ExportStack)
	if gas != nil {
		gas.Set(uint64(i.Gas))
		reserve.Set(uint64(i.Reserve))
		stack.Set(instrument.MaxDepth)
	}
	o := callOutcome{Name: c.Name}
	results, err := i.ExportedFunction(c.Name).Call(ctx, make([]uint64, len(c.Params))...)
	switch {
	case err == nil:
		o.Result = show(c.Results, results)
	case gas != nil && int64(gas.Get()) < 0:
		o.End = "gas"
	case gas != nil && int32(stack.Get()) < 0:
		o.End = "stack"
	default:
		o.End = end(err)
	}
	if gas != nil {
		o.Gas = fmt.Sprint(i.Gas + i.Reserve - int64(gas.Get()) - int64(reserve.Get()))
	}
	return o
}

// show writes results as testdata/v8.mjs does. JavaScript does not keep the bits
// of a NaN.
func show(types []string, results []uint64) string {
	var all []string
	for i, t := range types {
		switch v := results[i]; {
		case t == "i32":
			all = append(all, strconv.FormatUint(v&math.MaxUint32, 10))
		case t == "i64":
			all = append(all, strconv.FormatUint(v, 10))
		case t == "f32" && math.IsNaN(float64(api.DecodeF32(v))), t == "f64" && math.IsNaN(api.DecodeF64(v)):
			all = append(all, "nan")
		case t == "f32":
			all = append(all, strconv.FormatUint(math.Float64bits(float64(api.DecodeF32(v))), 10))
		default:
			all = append(all, strconv.FormatUint(v, 10))
		}
	}
	return strings.Join(all, " ")
}

// end names the trap, as testdata/v8.mjs does.
func end(err error) string {
	text := strings.TrimPrefix(err.Error(), "wasm error: ")
	for prefix, name := range map[string]string{
		"unreachable": "unreachable", "out of bounds memory access": "memory", "integer divide by zero": "divide", "integer overflow": "overflow",
		"invalid conversion to integer": "conversion", "invalid table access": "table", "indirect call type mismatch": "call type", "stack overflow": "engine stack",
	} {
		if strings.HasPrefix(text, prefix) {
			return name
		}
	}
	return err.Error()
}

// asV8 is an outcome of wazero in the words of V8, which does not tell an empty
// entry of a table from one of another type, or a NaN from what is too large.
func asV8(o outcome) outcome {
	o.Calls = slices.Clone(o.Calls)
	for i, c := range o.Calls {
		switch c.End {
		case "call type":
			o.Calls[i].End = "table"
		case "conversion":
			o.Calls[i].End = "overflow"
		}
	}
	return o
}

// v8 is a running Node.js.
type v8 struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *bufio.Reader
}

func startV8(t testing.TB) *v8 {
	t.Helper()
	cmd := exec.Command("node", "testdata/v8.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: these tests compare with V8; install Node.js 18 or later", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return &v8{in: json.NewEncoder(in), out: bufio.NewReaderSize(out, 1<<16)}
}

func (v *v8) run(task task) (o outcome, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.in.Encode(task); err != nil {
		return o, err
	}
	line, err := v.out.ReadBytes('\n')
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return o, err
	}
	if o.Error != "" {
		return o, errors.New(o.Error)
	}
	return o, nil
}
