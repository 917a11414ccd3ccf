package hostile

import (
	"lockstep/wasmabi"
)

// recursions go on until the stack ends.
func recursions() []guest {
	return []guest{
		starves(code(forever())).named("endless loop"),
		ends(wasmabi.StackOverflow, 4+1800*3, func() []byte {
			m := newModule()
			return m.apply(call(m.proc(call(0))))
		}).named("recursion"),
		ends(wasmabi.StackOverflow, 4+1800*3, func() []byte {
			m := newModule()
			m.host("input_size") // is function 0
			m.proc(call(2))
			m.proc(call(3))
			return m.apply(call(m.proc(call(1))))
		}).named("recursion of three"),
		ends(wasmabi.StackOverflow, 4+1800*7, func() []byte {
			m := newModule()
			m.host("input_size")
			m.table, m.entries = 1, []uint32{1}
			f := m.proc(con(0), callIndirect(m.typ(nil, nil)))
			return m.apply(call(f))
		}).named("recursion through the table"),
		ends(wasmabi.StackOverflow, 4+600*12_003, func() []byte {
			m := newModule()
			return m.apply(call(m.fn(m.typ(nil, nil), 2000, i64, waiting(2000, call(0)))))
		}).named("recursion with 2,000 locals in use"),
		ends(wasmabi.StackOverflow, 1004+600*3, func() []byte {
			m := newModule()
			results := times(1000, []byte{i32})
			f := m.fn(m.typ(nil, results), 0, i32, call(0))
			return m.apply(call(f), times(1000, drop))
		}).named("recursion through 1,000 results"),
		ends(wasmabi.StackOverflow, 4+900*6_003, func() []byte {
			m := newModule()
			f := m.proc(times(3000, memorySize), call(0), times(3000, drop))
			return m.apply(call(f))
		}).named("recursion under 3,000 operands"),
		// Of no value are two of these needed at once, and wazero keeps a place for each.
		ends(wasmabi.StackOverflow, 4+225*15_060, func() []byte {
			m := newModule()
			var b []byte
			for range 20 {
				for i := range 250 {
					b = cat(b, con(0), []byte{0x29, 3}, u32(8*i)) // i64.load
				}
				b = cat(b, call(0), times(249, []byte{0x7c}), set(0)) // i64.add
			}
			return m.apply(call(m.fn(m.typ(nil, nil), 1, i64, b)))
		}).named("recursion under 20 times 250 operands"),
	}
}

// waiting sets n locals of 64 bits, runs code, and uses them all.
func waiting(n int, code []byte) []byte {
	var b []byte
	for i := range n {
		b = cat(b, con(0), []byte{0x29, 3}, u32(8*i), set(i)) // i64.load
	}
	b = cat(b, code)
	for i := range n {
		b = cat(b, con(0), get(i), []byte{0x37, 3}, u32(8*i)) // i64.store
	}
	return b
}

// shapes are modules whose form is the attack.
func shapes() []guest {
	return append([]guest{
		accepted(20_001, "", func() []byte {
			m := newModule()
			m.globals = 10_000
			var b []byte
			for i := range m.globals {
				b = cat(b, con(int32(i)), setGlobal(i))
			}
			return m.apply(b)
		}).named("10,000 globals"),
		refused("over a limit: globals", func() []byte {
			m := newModule()
			m.globals = 100_000
			return m.apply()
		}).named("100,000 globals"),
		accepted(3, "", code(block(con(25_000), brTable(25_000)))).named("25,000 labels"),
		refused("over a limit: labels of a br_table", code(block(con(0), brTable(25_001)))).named("25,001 labels"),
		refused("over a limit: bytes of a function", code(block(con(0), brTable(1_000_000)))).named("1,000,000 labels"),
		accepted(6, "", withLocals(50_000)).named("50,000 locals"),
		refused("over a limit: locals of a function", withLocals(50_001)).named("50,001 locals"),
		accepted(1, "", nested(8_191)).named("8,191 blocks and the function"),
		refused("over a limit: nested blocks", nested(8_192)).named("8,192 blocks and the function"),
		refused("over a limit: nested blocks", nested(10_000)).named("10,000 blocks"),
		refused("over a limit: values of locals that meet", meeting(240, 430)).named("240 locals through 430 loops"),
		refused("over a limit: loops in loops", meeting(1, 500)).named("500 loops in each other"),
		refused("over a limit: values that live across branches", crossing(2000, 400)).named("2,000 locals across 400 branches"),
		refused("over a limit: values that live across branches", code(times(5000, memorySize), times(401, block()), times(4999, add), drop)).named("5,000 operands across 401 blocks"),
		refused("over a limit: values that live across branches", crossingTable(100)).named("100 locals across a table of 14,000 branches"),
		refused("over a limit: pairs of branches", code(times(8_700, cat(memorySize, []byte{0x04, 0x40, 0x0b})))).named("8,700 ifs"),
		refused("over a limit: pairs of branches", code(times(2_900, cat(con(0), con(0), con(0), memoryFill)))).named("2,900 fills"),
		refused("over a limit: operands of blocks and calls", func() []byte {
			m := newModule()
			f, g := m.proc(callsOf1000(m, 253)), m.proc(callsOf1000(m, 253))
			return m.apply(call(f), call(g))
		}).named("506 calls of 1,000 parameters and results"),
		refused("over a limit: machine code of a function", func() []byte {
			m := newModule()
			m.table = 1
			return m.apply(times(26_000, cat(con(0), callIndirect(m.typ(nil, nil)))))
		}).named("26,000 calls through the table"),
		accepted(20_001, "", code(times(10_000, memorySize), times(9_999, add), drop)).named("10,000 operands"),
	}, imports()...)
}

func withLocals(n int) func() []byte {
	return func() []byte {
		m := newModule()
		f := m.fn(m.typ(nil, nil), n, i32, con(1), set(n-1))
		return m.apply(call(f))
	}
}

func nested(n int) func() []byte {
	return code(times(n, []byte{0x02, 0x40}), times(n, []byte{0x0b}))
}

func imports() []guest {
	foreign := func(kind byte, desc ...byte) func() []byte {
		return func() []byte {
			m := newModule()
			m.imports = append(m.imports, cat(sized([]byte("env")), sized([]byte("x")), []byte{kind}, desc))
			return m.apply()
		}
	}
	return []guest{
		refused("forbidden: import of table", foreign(1, 0x70, 0, 1)).named("import of a table"),
		refused("forbidden: import of memory", foreign(2, 0, 1)).named("import of a memory"),
		refused("forbidden: import of global", foreign(3, i32, 1)).named("import of a global"),
		refused("unknown import", func() []byte {
			m := newModule()
			m.importFunc(wasmabi.Func{Module: "env", Name: "system", Params: "i", Results: "i"})
			return m.apply()
		}).named("import of a function that is not there"),
		refused("unknown import", func() []byte {
			m := newModule()
			m.importFunc(wasmabi.Func{Module: "lockstep_v2", Name: "input_size", Results: "i"})
			return m.apply()
		}).named("import of another contract"),
		refused("wrong type", func() []byte {
			m := newModule()
			m.importFunc(wasmabi.Func{Module: wasmabi.Module, Name: "input_size", Results: "I"})
			return m.apply()
		}).named("import of another type"),
		accepted(137, "", func() []byte {
			m := newModule()
			return m.apply(call(m.host("input_size")), call(m.host("input_size")), drop, drop)
		}).named("an import twice"),
		accepted(4754, "\x00\x00\x00\x00\x00\x00\x00\x00", everything).named("every host function"),
		accepted(64, "", func() []byte {
			m := newModule()
			m.export(wasmabi.ExportApply, 0, m.host("input_size"))
			m.exportChange()
			return m.bytes()
		}).named("a host function as the guest's own"),
	}
}

// everything imports and calls all that there is, but what ends the call.
func everything() []byte {
	m := newModule()
	all := append(wasmabi.Imports[:len(wasmabi.Imports):len(wasmabi.Imports)], wasmabi.WASI...)
	var b []byte
	for _, f := range all {
		index := m.importFunc(f)
		if f.Name == "proc_exit" {
			continue
		}
		for _, p := range f.Params {
			b = append(b, map[rune]byte{'i': 0x41, 'I': 0x42}[p], 8)
		}
		b = cat(b, call(index), times(len(f.Results), drop))
	}
	m.exportTimer()
	return m.apply(b)
}

// crossing has values wait in locals while code branches, so that a compiler notes
// for each stretch between branches that they do.
func crossing(locals, branches int) func() []byte {
	return func() []byte {
		m := newModule()
		step := cat(memorySize, []byte{0x04, 0x40}, con(0), con(1), store, []byte{0x0b}) // if
		return m.apply(call(m.fn(m.typ(nil, nil), locals, i64, waiting(locals, times(branches, step)))))
	}
}

func crossingTable(locals int) func() []byte {
	return func() []byte {
		m := newModule()
		return m.apply(call(m.fn(m.typ(nil, nil), locals, i64, waiting(locals, block(con(0), brTable(14_000))))))
	}
}

// callsOf1000 calls a function that takes and returns 1,000 values so many times.
func callsOf1000(m *module, n int) []byte {
	values := times(1000, []byte{i32})
	f := m.fn(m.typ(values, values), 0, i32, times(1000, con(0)))
	return cat(times(1000, con(0)), times(n, call(f)), times(1000, drop))
}

// meeting sets each local in the innermost of many loops, so that a compiler has
// to carry each through all of them.
func meeting(locals, loops int) func() []byte {
	return func() []byte {
		m := newModule()
		return m.apply(call(m.fn(m.typ(nil, nil), locals, i32, meetingIn(locals, loops))))
	}
}

func meetingIn(locals, loops int) (b []byte) {
	for i := range locals {
		b = cat(b, get((i+1)%locals), set(i))
	}
	for range loops {
		b = loop(b, memorySize, brIf(0))
	}
	return b
}
