package hostile

import (
	"math"
	"strings"

	"lockstep/wasmabi"
)

// inputGas and pages are what a machine of these tests may use for an input.
const (
	inputGas = 10_000_000
	pages    = 64
)

// guest is a case: a module and the receipt that it gets.
type guest struct {
	name    string
	wasm    func() []byte
	refused string // the module is, in these words; then nothing runs
	status  wasmabi.Status
	trap    wasmabi.Trap
	gas     uint64 // exactly; with OutOfGas that is inputGas
	output  string
	log     int // bytes that are kept
}

func ends(trap wasmabi.Trap, gas uint64, wasm func() []byte) guest {
	return guest{wasm: wasm, status: wasmabi.Trapped, trap: trap, gas: gas}
}

func accepted(gas uint64, output string, wasm func() []byte) guest {
	return guest{wasm: wasm, gas: gas, output: output}
}

func starves(wasm func() []byte) guest {
	return guest{wasm: wasm, status: wasmabi.OutOfGas, gas: inputGas}
}

func refused(words string, wasm func() []byte) guest { return guest{wasm: wasm, refused: words} }

func (g guest) named(name string) guest { g.name = name; return g }

// code is a module whose apply does only this.
func code(parts ...[]byte) func() []byte {
	return func() []byte { return newModule().apply(parts...) }
}

// guests are all cases.
func guests() (all []guest) {
	all = append(all, traps()...)
	all = append(all, recursions()...)
	all = append(all, memories()...)
	all = append(all, floods()...)
	return append(all, shapes()...)
}

func traps() []guest {
	return []guest{
		ends(wasmabi.Unreachable, 1, code(unreachable)).named("unreachable"),
		ends(wasmabi.DivideByZero, 14, code(con(1), con(0), divide, drop)).named("division by zero"),
		ends(wasmabi.IntegerOverflow, 14, code(con(math.MinInt32), con(-1), divide, drop)).named("integer overflow"),
		ends(wasmabi.MemoryOutOfBounds, 4, code(con(-4), load, drop)).named("load out of bounds"),
		ends(wasmabi.MemoryOutOfBounds, 4, code(con(65536-3), con(7), store)).named("store over the edge"),
		ends(wasmabi.IndirectCallType, 8, func() []byte {
			m := newModule()
			m.table, m.entries = 2, []uint32{0}
			m.fn(m.typ([]byte{i32}, nil), 0, i32)
			return m.apply(con(0), callIndirect(m.typ(nil, nil)))
		}).named("call of another type"),
		ends(wasmabi.TableOutOfBounds, 8, func() []byte {
			m := newModule()
			m.table, m.entries = 2, []uint32{0}
			f := m.typ(nil, nil)
			m.proc()
			return m.apply(con(1), callIndirect(f))
		}).named("call of an empty entry"),
		ends(wasmabi.TableOutOfBounds, 8, func() []byte {
			m := newModule()
			m.table = 2
			return m.apply(con(-1), callIndirect(m.typ(nil, nil)))
		}).named("call outside the table"),
		ends(wasmabi.Exited, 69, func() []byte {
			m := newModule()
			exit := m.importFunc(wasmabi.Func{Module: wasmabi.WASIModule, Name: "proc_exit", Params: "i"})
			return m.apply(con(0), call(exit))
		}).named("proc_exit"),
	}
}

func memories() []guest {
	full := cat(con(0), con(1), memorySize, con(16), []byte{0x74}, memoryFill) // i32.shl
	return []guest{
		accepted(1_094_362, "\x40\x00\x00\x00", func() []byte {
			m := newModule()
			write := m.host("output_write")
			return m.apply(
				block(loop(con(1), grow, con(-1), []byte{0x46}, brIf(1), br(0))), // i32.eq
				con(1), grow, drop, con(1000), grow, drop, con(65_536), grow, drop, con(-1), grow, drop,
				con(0), memorySize, store, con(0), con(4), call(write))
		}).named("memory to the limit and beyond"),
		starves(code(forever(con(0), con(1), con(-1), memoryFill))).named("4 GiB filled"),
		starves(code(con(pages-1), grow, drop, forever(full))).named("all memory filled for ever"),
		ends(wasmabi.MemoryOutOfBounds, 54, code(con(65535), con(1), con(2), memoryFill)).named("filled over the edge"),
	}
}

func floods() []guest {
	of := func(name string, n int32) func() []byte {
		return func() []byte {
			m := newModule()
			f := m.host(name)
			step := cat(con(0), con(65536), call(f))
			if n == 0 {
				return m.apply(forever(step))
			}
			return m.apply(repeat(n, step))
		}
	}
	logged := func(g guest) guest { g.log = wasmabi.MaxLog; return g }
	return []guest{
		logged(starves(of("log", 0)).named("log flood")),
		logged(accepted(329_163, "", of("log", 20)).named("log too long")),
		ends(wasmabi.OutputTooLarge, 131_703, of("output_write", 0)).named("output flood"),
		accepted(131_667, strings.Repeat("\x00", wasmabi.MaxOutput), of("output_write", 8)).named("output of the largest size"),
		starves(of("random", 0)).named("random flood"),
		ends(wasmabi.TooManyEvents, 51_399, func() []byte {
			m := newModule()
			f := m.host("emit")
			return m.apply(forever(con(0), con(8), call(f)))
		}).named("event flood"),
		ends(wasmabi.TooManyEvents, 8_587, func() []byte {
			m := newModule()
			f := m.host("emit")
			return m.apply(times(2, cat(con(0), con(wasmabi.MaxEventBytes/2+1), call(f))))
		}).named("event too long"),
		ends(wasmabi.TooManyTimers, 3_309_771, func() []byte {
			m := newModule()
			f := m.host("set_timer")
			m.exportTimer()
			return m.apply(forever(get(0), con(1), add, tee(0), []byte{0xad, 0x42, 1}, call(f))) // i64.extend_i32_u; i64.const 1
		}).named("timer flood"),
		ends(wasmabi.HostArgument, 70, func() []byte {
			m := newModule()
			f := m.host("output_write")
			return m.apply(con(-1), con(-1), call(f))
		}).named("output from nowhere"),
	}
}
