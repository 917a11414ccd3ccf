package instrument

import (
	"fmt"
	"maps"
	"slices"
)

// Which data segments were dropped is state that no engine shows. So code that
// drops one sets a global instead, and memory.init of such a segment asks it.
// Active segments are dropped from the start, as the specification has it and
// wazero v1.12.0 does not.

// numberDrops gives each segment that code drops a global, behind those
// of gas and stack.
func (m *module) numberDrops(funcs []*function, out *Module) {
	m.dropped = make(map[uint32]uint32)
	for _, f := range funcs {
		for _, segment := range f.drops {
			if m.passive[segment] {
				m.dropped[segment] = 0
			}
		}
	}
	for i, segment := range slices.Sorted(maps.Keys(m.dropped)) {
		g := m.reserveGlobal() + 1 + uint32(i)
		m.dropped[segment] = g
		out.Globals = append(out.Globals, Global{fmt.Sprint(exportGlobal, g), typeI32, g})
	}
	if len(m.globals)+len(m.dropped) > maxGlobals {
		refuse(TooMany, 0, "globals and data segments that are dropped")
	}
}

func (f *function) drop(segment uint32) {
	if g, ok := f.module.dropped[segment]; ok {
		f.out.bytes([]byte{0x41, 1}) // i32.const 1
		f.out.global(0x24, g)
	}
}

// guardInit has memory.init of a dropped segment do as if it were empty: with
// an offset or a length its offset becomes one that is out of bounds.
func (f *function) guardInit(segment uint32) {
	g, ok := f.module.dropped[segment]
	passive := f.module.passive[segment]
	if !ok && passive {
		return
	}
	w := &f.out
	n, s := f.local(typeI32, 0), f.local(typeI32, 1)
	w.local(0x21, n)
	w.local(0x22, s)
	w.bytes([]byte{0x41, 0}) // offset | 0 - (dropped & (offset | length) != 0)
	if passive {
		w.global(0x23, g)
	} else {
		w.bytes([]byte{0x41, 1})
	}
	w.local(0x20, s)
	w.local(0x20, n)
	w.bytes([]byte{0x72, 0x41, 0, 0x47, 0x71, 0x6b, 0x72}) // or; const 0; ne; and; sub; or
	w.local(0x20, n)
}
