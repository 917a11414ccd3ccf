package hostile

import (
	"encoding/binary"
	"strings"

	"lockstep/wasmabi"
)

// module is one that is being made. Imports come before functions.
type module struct {
	types   [][]byte
	imports [][]byte
	funcs   []uint32 // types
	bodies  [][]byte
	table   uint32
	entries []uint32 // of the table, from 0
	pages   uint32
	globals int // mutable i32
	exports [][]byte
	start   []byte
}

// Value types.
const (
	i32 = 0x7f
	i64 = 0x7e
)

func u32(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func s32(n int32) (b []byte) {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func sized(b []byte) []byte { return cat(u32(len(b)), b) }

func times(n int, b []byte) []byte { return []byte(strings.Repeat(string(b), n)) }

func vector(items [][]byte) []byte { return cat(u32(len(items)), cat(items...)) }

// newModule has a page of memory ; apply completes it.
func newModule() *module {
	m := &module{pages: 1}
	m.export(wasmabi.ExportMemory, 2, 0)
	return m
}

func (m *module) export(name string, kind byte, index int) {
	m.exports = append(m.exports, cat(sized([]byte(name)), []byte{kind}, u32(index)))
}

// typ gives the index of a function type.
func (m *module) typ(params, results []byte) int {
	t := cat([]byte{0x60}, sized(params), sized(results))
	for i, have := range m.types {
		if string(have) == string(t) {
			return i
		}
	}
	m.types = append(m.types, t)
	return len(m.types) - 1
}

func letters(s string) []byte {
	return []byte(strings.NewReplacer("i", "\x7f", "I", "\x7e").Replace(s))
}

func (m *module) importFunc(f wasmabi.Func) int {
	t := m.typ(letters(f.Params), letters(f.Results))
	m.imports = append(m.imports, cat(sized([]byte(f.Module)), sized([]byte(f.Name)), []byte{0}, u32(t)))
	return len(m.imports) - 1
}

// host imports a host function of lockstep_v1.
func (m *module) host(name string) int {
	for _, f := range wasmabi.Imports {
		if f.Name == name {
			return m.importFunc(f)
		}
	}
	panic("no host function " + name)
}

// fn adds a function with so many locals of a type.
func (m *module) fn(typ, locals int, of byte, code ...[]byte) int {
	body := cat([]byte{1}, u32(locals), []byte{of}, cat(code...), []byte{0x0b})
	m.funcs = append(m.funcs, uint32(typ))
	m.bodies = append(m.bodies, sized(body))
	return len(m.imports) + len(m.funcs) - 1
}

// proc adds a function of no parameters and results, with 2 locals.
func (m *module) proc(code ...[]byte) int { return m.fn(m.typ(nil, nil), 2, i32, code...) }

// apply adds the function that runs an input and accepts it if it comes to its
// end, and those with which another guest takes over.
func (m *module) apply(code ...[]byte) []byte {
	f := m.fn(m.typ(nil, []byte{i32}), 2, i32, cat(code...), con(0))
	m.export(wasmabi.ExportApply, 0, f)
	m.exportChange()
	return m.bytes()
}

// exportChange adds the functions with which another guest takes over.
func (m *module) exportChange() {
	for _, name := range []string{wasmabi.ExportSave, wasmabi.ExportLoad} {
		m.export(name, 0, m.fn(m.typ(nil, []byte{i32}), 0, i32, con(0)))
	}
}

func (m *module) exportTimer() {
	m.export(wasmabi.ExportTimer, 0, m.fn(m.typ(nil, []byte{i32}), 0, i32, con(0)))
}

func (m *module) bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, data []byte) { b = cat(b, []byte{id}, sized(data)) }
	indexes := func(list []uint32) (v []byte) {
		v = u32(len(list))
		for _, i := range list {
			v = append(v, u32(int(i))...)
		}
		return v
	}
	section(1, vector(m.types))
	section(2, vector(m.imports))
	section(3, indexes(m.funcs))
	if m.table > 0 {
		section(4, cat([]byte{1, 0x70, 0}, u32(int(m.table))))
	}
	section(5, cat([]byte{1, 0}, u32(int(m.pages))))
	section(6, cat(u32(m.globals), times(m.globals, []byte{i32, 1, 0x41, 0, 0x0b})))
	section(7, vector(m.exports))
	if m.start != nil {
		section(8, m.start)
	}
	if len(m.entries) > 0 {
		section(9, cat([]byte{1, 0, 0x41, 0, 0x0b}, indexes(m.entries)))
	}
	section(10, vector(m.bodies))
	return b
}

// Instructions.
var (
	unreachable = []byte{0x00}
	drop        = []byte{0x1a}
	grow        = []byte{0x40, 0}
	memorySize  = []byte{0x3f, 0}
	memoryFill  = []byte{0xfc, 11, 0}
	add         = []byte{0x6a}
	sub         = []byte{0x6b}
	divide      = []byte{0x6d}
	load        = []byte{0x28, 2, 0}
	store       = []byte{0x36, 2, 0}
)

func con(n int32) []byte            { return cat([]byte{0x41}, s32(n)) }
func get(i int) []byte              { return cat([]byte{0x20}, u32(i)) }
func set(i int) []byte              { return cat([]byte{0x21}, u32(i)) }
func tee(i int) []byte              { return cat([]byte{0x22}, u32(i)) }
func setGlobal(i int) []byte        { return cat([]byte{0x24}, u32(i)) }
func call(f int) []byte             { return cat([]byte{0x10}, u32(f)) }
func callIndirect(typ int) []byte   { return cat([]byte{0x11}, u32(typ), []byte{0}) }
func br(n int) []byte               { return cat([]byte{0x0c}, u32(n)) }
func brIf(n int) []byte             { return cat([]byte{0x0d}, u32(n)) }
func block(code ...[]byte) []byte   { return cat([]byte{0x02, 0x40}, cat(code...), []byte{0x0b}) }
func loop(code ...[]byte) []byte    { return cat([]byte{0x03, 0x40}, cat(code...), []byte{0x0b}) }
func forever(code ...[]byte) []byte { return loop(cat(code...), br(0)) }

// brTable has n labels and a default, all to the block around.
func brTable(n int) []byte { return cat([]byte{0x0e}, u32(n), make([]byte, n), []byte{0}) }

// repeat runs code n times; it counts in local 0.
func repeat(n int32, code ...[]byte) []byte {
	return cat(con(n), set(0), loop(cat(code...), get(0), con(1), sub, tee(0), brIf(0)))
}
