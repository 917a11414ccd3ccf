package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/snapshot/paging"
	"lockstep/wasmabi/instrument"
)

const wasmPage = 64 << 10 // bytes

// Module is a guest's module, ready to be instantiated.
type Module struct {
	engine   *Engine
	digest   audit.Digest
	info     *instrument.Module // without its Wasm
	compiled wazero.CompiledModule
	lines    *lines // nil without Config.Lines
}

// Compile checks a module against the contract, instruments it and makes it
// ready to run with at most maxMemory Wasm pages, 0 for host.DefaultMaxMemory.
// A module at fault gives an *instrument.Refusal, the same on every host; any
// other error is this host's.
func (e *Engine) Compile(module []byte, maxMemory uint32) (*Module, error) {
	if maxMemory == 0 {
		maxMemory = host.DefaultMaxMemory
	}
	config := instrument.Config{MaxMemoryPages: maxMemory, Contract: true}
	instrumented, err := instrument.Instrument(module, config)
	if err != nil {
		return nil, err
	}
	digest := host.ModuleDigest(module)
	wasm := instrumented.Unnamed()
	var from *lines
	if e.config.Lines {
		wasm = append(wasm[:len(wasm):len(wasm)], anyCode()...)
		from = &lines{module: module, config: config}
	}
	compiled, err := e.compile(turnKey{digest, maxMemory}, wasm, instrumented.AtOnce)
	if err != nil {
		if refusal := invalid(module); refusal != nil {
			return nil, refusal
		}
		return nil, fmt.Errorf("compile module: %w", err)
	}
	instrumented.Wasm = nil
	return &Module{engine: e, digest: digest, info: instrumented, compiled: compiled, lines: from}, nil
}

// compile has wazero validate and compile. It tries again without what the
// cache holds where that is damaged, or could not be written.
func (e *Engine) compile(key turnKey, wasm []byte, atOnce int) (wazero.CompiledModule, error) {
	workers, done := e.turns.take(key, len(wasm), atOnce)
	defer done()
	if e.cache != nil {
		trimCache(e.cacheDir, maxCache)
	}
	ctx := experimental.WithCompilationWorkers(context.Background(), min(workers, max(1, e.config.Workers)))
	compiled, err := e.runtime.CompileModule(ctx, wasm)
	if err != nil && e.cache != nil {
		e.dropCache(err)
		compiled, err = e.runtime.CompileModule(ctx, wasm)
	}
	return compiled, err
}

// invalid tells whether a module whose instrumented form did not compile is
// itself at fault. wazero's interpreter hardly does more than validate, on
// every host alike; its words are not told, for they are not ours to keep.
func invalid(module []byte) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithDebugInfoEnabled(false))
	defer func() { _ = r.Close(ctx) }()
	if _, err := r.CompileModule(ctx, module); err != nil {
		return &instrument.Refusal{Reason: instrument.Invalid, Func: -1, Detail: "does not validate"}
	}
	return nil
}

// Digest is the digest of the module as it was given to Compile.
func (m *Module) Digest() audit.Digest { return m.digest }

// Exports tells whether the module has a function of the contract.
func (m *Module) Exports(name string) bool {
	_, ok := m.compiled.ExportedFunctions()[name]
	return ok
}

// Close frees the compiled code once the instances of it are closed too. A
// module that is compiled twice is freed when both are closed.
func (m *Module) Close() error { return m.compiled.Close(context.Background()) }

// memoryBounds are the smallest and largest memory of an instance in bytes.
func (m *Module) memoryBounds() (low, high uint64) {
	return uint64(m.info.InitialPages) * wasmPage, uint64(m.info.MaxPages) * wasmPage
}

// Instantiate makes an instance that has not run yet: its committed state is
// the module's data and initial globals. Each has a memory of its own.
func (m *Module) Instantiate() (host.Guest, error) {
	_, high := m.memoryBounds()
	// A module may declare that it has no memory; a mapping is never empty.
	pages, err := paging.New(paging.Config{MaxBytes: max(high, wasmPage), Tracker: m.engine.config.Tracker})
	if err != nil {
		return nil, fmt.Errorf("reserve memory: %w", err)
	}
	g := &guest{module: m, memory: &memory{pages: pages, limit: high}}
	g.context = &callContext{Context: context.Background(), guest: g}
	ctx := experimental.WithMemoryAllocator(context.Background(), g.memory)
	// A name would make it the only instance; start functions run in a Call.
	anonymous := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	if g.instance, err = m.engine.runtime.InstantiateModule(ctx, m.compiled, anonymous); err != nil {
		return nil, errors.Join(fmt.Errorf("instantiate module: %w", err), pages.Close())
	}
	g.memory.view = g.instance.Memory()
	g.steps = stepsOf(g.instance, instrument.ExportStart)
	g.gas = mutable(g.instance, instrument.ExportGas)
	g.reserve = mutable(g.instance, instrument.ExportReserve)
	g.stack = mutable(g.instance, instrument.ExportStack)
	for _, exported := range m.info.Globals {
		v := mutable(g.instance, exported.Name)
		wide := v.Type() == api.ValueTypeI64 || v.Type() == api.ValueTypeF64
		g.globals = append(g.globals, global{v, wide})
	}
	g.committed = make([]uint64, len(g.globals)+1)
	g.Commit()
	return g, nil
}

// mutable finds a global that the instrumentation exported.
func mutable(instance api.Module, name string) api.MutableGlobal {
	g, ok := instance.ExportedGlobal(name).(api.MutableGlobal)
	if !ok {
		panic(fmt.Sprintf("engine: instrumented module has no mutable global %q", name))
	}
	return g
}
