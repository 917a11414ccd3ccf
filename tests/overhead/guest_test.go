package overhead

import (
	"context"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"lockstep/guests/examples/kv"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// requests are inputs for a guest, and its host: no more than it needs, and
// without gas, so that the same one serves the raw module.
type requests struct {
	inputs [][]byte
	input  []byte
	sum    uint32 // of the outputs
}

func (r *requests) time(t testing.TB, apply api.Function) (time.Duration, uint64) {
	t.Helper()
	r.sum = 0
	var stack [1]uint64
	start := time.Now()
	for _, r.input = range r.inputs {
		if err := apply.CallWithStack(context.Background(), stack[:]); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start), uint64(r.sum)
}

// instantiateGuest brings up the store, which is written in Go, for n requests.
func instantiateGuest(t testing.TB, wasm []byte, n uint64) program {
	t.Helper()
	ctx := context.Background()
	r := &requests{}
	for i := range n {
		key := fmt.Sprint("key ", i%50)
		if i%4 == 0 {
			r.inputs = append(r.inputs, kv.Put(key, make([]byte, 100+i)))
		} else {
			r.inputs = append(r.inputs, kv.Get(key))
		}
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	t.Cleanup(func() { _ = runtime.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	if err := r.provide(ctx, runtime); err != nil {
		t.Fatal(err)
	}
	m, err := runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize", wasmabi.ExportInit))
	if err != nil {
		t.Fatal(err)
	}
	gas, _ := m.ExportedGlobal(instrument.ExportGas).(api.MutableGlobal)
	return program{run: m.ExportedFunction(wasmabi.ExportApply), gas: gas, requests: r}
}

func (r *requests) provide(ctx context.Context, runtime wazero.Runtime) error {
	i := api.ValueTypeI32
	b := runtime.NewHostModuleBuilder(wasmabi.Module)
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, s []uint64) {
		s[0] = uint64(len(r.input))
	}), nil, []api.ValueType{i}).Export("input_size")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
		n := min(int(uint32(s[1])), len(r.input)-int(uint32(s[2])))
		m.Memory().Write(uint32(s[0]), r.input[uint32(s[2]):][:n])
		s[0] = uint64(n)
	}), []api.ValueType{i, i, i}, []api.ValueType{i}).Export("input_read")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
		out, _ := m.Memory().Read(uint32(s[0]), uint32(s[1]))
		r.sum = crc32.Update(r.sum, crc32.IEEETable, out)
	}), []api.ValueType{i, i}, nil).Export("output_write")
	_, err := b.Instantiate(ctx)
	return err
}
