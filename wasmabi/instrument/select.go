package instrument

// wazero v1.12.0 compiles a select of floats or vectors wrongly on amd64 where the first has to be brought back from
// the stack: what is in a register by chance comes instead of the second. docs/engine-bugs.md. So it
// becomes an if, as its machine code is one anyway.

// floatChosen is the type of a select's values, if it is one of these. The operands are on the stack yet; want is
// the type that the instruction tells, 0 for none.
func (w *flow) floatChosen(want byte) byte {
	if at := len(w.stack) - 2; want == 0 && at >= w.top().height {
		want = w.stack[at].typ
	}
	switch want {
	case typeF32, typeF64, typeV128:
		return want
	}
	return 0
}

// choose writes the if. Both values are on the stack, and the condition.
func (f *function) choose(typ byte) {
	w, second := &f.out, f.local(typ, 0)
	w.byte(0x04)
	w.s64(int64(f.module.typeFor([]byte{typ, typ}, []byte{typ})))
	w.bytes([]byte{0x1a, 0x05}) // drop; else
	w.local(0x21, second)
	w.byte(0x1a) // drop
	w.local(0x20, second)
	w.byte(0x0b)
}
