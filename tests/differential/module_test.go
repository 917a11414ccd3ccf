package differential

import (
	"encoding/binary"
	"fmt"
)

func sized(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

func list(items ...[]byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(items)))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

// module puts the parts together.
func (g *generator) module(bodies [][]byte) []byte {
	dump := g.dump()
	var types, funcs, globals, exports, entries [][]byte
	for _, t := range g.types {
		types = append(types, append(append([]byte{0x60}, sized(t.params)...), sized(t.results)...))
	}
	for _, f := range append(g.funcs[:len(g.funcs):len(g.funcs)], 0) {
		funcs = append(funcs, binary.AppendUvarint(nil, uint64(f)))
	}
	for i, t := range g.globals {
		bits := g.bits()
		if g.tame && i == g.fuel {
			bits = turns
		}
		g.code = nil
		g.constantOf(t, bits)
		globals = append(globals, append(append([]byte{t, 1}, g.code...), 0x0b))
	}
	export := func(name string, kind byte, index int) {
		exports = append(exports, append(append(sized([]byte(name)), kind), binary.AppendUvarint(nil, uint64(index))...))
	}
	export("memory", 2, 0)
	for i := range g.roots {
		export(fmt.Sprint("f", i), 0, i)
	}
	export("dump", 0, len(g.funcs))
	for range table - 2 { // two stay empty
		entries = append(entries, binary.AppendUvarint(nil, uint64(g.IntN(len(g.funcs)))))
	}
	segment := make([]byte, dataLen)
	for i := range segment {
		segment[i] = byte(g.Uint32())
	}
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id   byte
		data []byte
	}{
		{1, list(types...)}, {3, list(funcs...)}, {4, []byte{1, 0x70, 1, table, table}}, {5, []byte{1, 1, 1, maxPages}}, {6, list(globals...)},
		{7, list(exports...)}, {9, append([]byte{1, 0, 0x41, 0, 0x0b}, list(entries...)...)}, {12, []byte{2}},
		{10, list(append(bodies, dump)...)},
		{11, list(append([]byte{0, 0x41, 16, 0x0b}, sized(segment)...), append([]byte{1}, sized(segment)...))},
	} {
		b = append(append(b, s.id), sized(s.data)...)
	}
	return b
}

// turns are those of loops and functions of a tame module until the next dump.
const turns = 300

// dump is a function that stores the globals, and the size of the memory.
func (g *generator) dump() []byte {
	g.code = []byte{0}
	for i, t := range g.globals {
		g.emit(0x41)
		g.code = appendSigned(g.code, int64(dumpAt+8*i))
		g.op(0x23, i)
		g.emit(map[byte]byte{i32: 0x36, i64: 0x37, f32: 0x38, f64: 0x39}[t], 0, 0)
	}
	g.emit(0x41, 0, 0x3f, 0, 0x36, 0, 0)
	if g.tame {
		g.constantOf(i32, turns)
		g.op(0x24, g.fuel)
	}
	g.emit(0x0b)
	return sized(g.code)
}
