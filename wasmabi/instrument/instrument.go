// Package instrument rewrites a WebAssembly module so that it behaves the same
// on every engine and CPU: bytes in, bytes out. What it adds is in the module
// itself, so that the module, and not the engine, decides what a guest does.
//
//   - Gas. A counter, the global "lockstep:gas", goes down by the cost of a
//     stretch of code where the stretch begins: at the entry of a function and
//     at each turn of a loop. Below zero the guest traps. A stretch is all that
//     stands in the function, or in the loop, outside of inner loops; so both
//     arms of an if are paid for. Small functions that neither loop nor call are
//     paid for by who calls them. Operations on ranges of memory pay by length.
//   - Stack. Functions from which a call may come back to them, directly or through
//     a table, and those that call such a one, weigh on the global
//     "lockstep:stack"; below zero the guest traps. See MaxDepth.
//   - NaN. A NaN whose bits Wasm leaves open is made the canonical positive one
//     before its bits can be seen: where it is stored, reinterpreted, passed on.
//     Until then it may be computed with. Bits that are only moved stay as they are.
//   - State. Every mutable global is exported, the start function too; whether a
//     data segment was dropped is a global; the memory's maximum is what the machine
//     allows, and one page more for the host's use. What could not be saved is refused.
//   - Engines. A conditional branch is kept apart from the comparison before it,
//     where wazero v1.12.0 would compile `0 < (x & y)` as if it were swapped;
//     and a select of floats or vectors, which it compiles wrongly, becomes an if.
//
// Profile is the version of all this. The same profile gives the same bytes.
package instrument

import (
	"fmt"
	"strings"

	"lockstep/wasmabi"
)

// Profile is the version of the rewriting and of its prices.
const Profile = 2

// Names of what the instrumentation adds. A module that uses the prefix is
// refused.
const (
	Reserved      = "lockstep:"
	ExportGas     = "lockstep:gas"     // mutable i64: what is left; negative after running out
	ExportReserve = "lockstep:reserve" // mutable i64: gas that is handed out slice by slice, see Slice
	ExportStack   = "lockstep:stack"   // mutable i32: what is left of MaxDepth; negative after overflow
	ExportStart   = "lockstep:start"   // the start function
	exportGlobal  = "lockstep:global:" // and its index: a mutable global
)

// Config of a rewriting. It is part of a machine's config: replicas must agree.
type Config struct {
	// MaxMemoryPages is the guest's memory limit in Wasm pages of 64 KiB;
	// 0 is the most there can be.
	MaxMemoryPages uint32
	// Contract refuses what does not keep to the guest contract.
	Contract bool
}

// Module is an instrumented module and what a host must know to run it.
type Module struct {
	Wasm         []byte
	Globals      []Global // the mutable ones, in the order of their index
	InitialPages uint32   // of memory, 64 KiB each
	MaxPages     uint32   // the guest's limit; the module declares one more
	HasMemory    bool
	HasStart     bool // ExportStart must run first

	Functions int            // of the guest's, imports first; those behind are added
	AtOnce    int            // functions that a compiler may have in hand, for half a gigabyte
	Names     map[int]string // of functions, as the guest's name section or else its exports have it

	named int // where the name section begins, the last of Wasm
}

// Unnamed is Wasm without the names of functions.
func (m *Module) Unnamed() []byte { return m.Wasm[:m.named] }

// Global is an exported mutable global.
type Global struct {
	Name string // of the export
	Type byte   // 0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64

	index uint32
}

// Instrument rewrites a module. The error is a *Refusal.
func Instrument(wasm []byte, cfg Config) (*Module, error) {
	m, funcs, out, err := examine(wasm, cfg)
	if err != nil {
		return nil, err
	}
	codes := make([][]byte, len(funcs))
	for i, f := range funcs {
		codes[i] = f.rewrite()
	}
	out.Wasm = m.encode(out, codes)
	return out, nil
}

// examine does all but write.
func examine(wasm []byte, cfg Config) (m *module, funcs []*function, out *Module, err error) {
	var current *function
	defer func() {
		switch f := recover().(type) {
		case nil:
		case fault:
			if current != nil {
				f.refusal.Func, f.refusal.Name = current.index, current.module.names[current.index]
				f.refusal.Offset = current.body.code.base + current.from
			}
			m, funcs, out, err = nil, nil, nil, f.refusal
		default:
			panic(f)
		}
	}()
	if len(wasm) > wasmabi.MaxModule {
		refuse(TooLarge, 0, fmt.Sprintf("module has %d bytes, want at most %d", len(wasm), wasmabi.MaxModule))
	}
	m = decode(wasm)
	m.checkNames(cfg)
	if cfg.Contract {
		m.checkContract()
	}
	out = &Module{HasStart: m.start >= 0, Functions: len(m.imports) + len(m.funcs), Names: m.names}
	if out.Names == nil {
		out.Names = make(map[int]string)
	}
	for _, e := range m.exports {
		if i := int(e.index); e.kind == 0 && out.Names[i] == "" {
			out.Names[i] = e.name
		}
	}
	m.limitMemory(cfg, out)
	for i, g := range m.globals {
		if g.mutable {
			out.Globals = append(out.Globals, Global{fmt.Sprint(exportGlobal, i), g.typ, uint32(i)})
		}
	}
	funcs = make([]*function, len(m.bodies))
	for i := range m.bodies {
		current = newFunction(m, i)
		funcs[i] = current
		current.analyse()
	}
	current = nil
	out.AtOnce = atOnce(funcs)
	m.weigh(funcs)
	m.fold(funcs)
	m.numberDrops(funcs, out)
	return m, funcs, out, nil
}

func (m *module) checkNames(cfg Config) {
	for _, e := range m.exports {
		if strings.HasPrefix(e.name, Reserved) {
			refuse(ReservedExport, e.offset, fmt.Sprintf("%q begins with %q", e.name, Reserved))
		}
		if e.kind == 1 && !cfg.Contract { // others could import it, and change it
			refuse(Forbidden, e.offset, fmt.Sprintf("export of table %q", e.name))
		}
	}
	if m.start >= 0 {
		t, ok := m.typeOf(m.start)
		if !ok || len(t.params)+len(t.results) != 0 {
			refuse(Invalid, m.startAt, "start function takes or returns something")
		}
	}
}

func (m *module) limitMemory(cfg Config, out *Module) {
	if m.memory == nil {
		return
	}
	limit := cfg.MaxMemoryPages
	if limit == 0 || limit > wasmabi.MaxMemory-1 {
		limit = wasmabi.MaxMemory - 1
	}
	if m.memory.min > limit {
		refuse(TooMuchMemory, m.memory.offset, fmt.Sprintf("memory begins with %d pages, want at most %d", m.memory.min, limit))
	}
	if m.memory.bounded && m.memory.max < m.memory.min {
		refuse(Invalid, m.memory.offset, "memory's maximum is below its minimum")
	}
	out.HasMemory, out.InitialPages, out.MaxPages = true, m.memory.min, min(limit, m.memory.max)
}
