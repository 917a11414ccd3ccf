package instrument

// Compiled code runs to its end without the Go runtime being able to stop it,
// and a garbage collection of the host would wait for it. So gas is handed out in
// slices: when one is used up the guest calls a function that the rewriting adds,
// which takes the next from the global "lockstep:reserve" and leaves compiled
// code for a moment, by growing the memory by nothing. What a guest may use in
// all, and what it has used, do not depend on slices.

const (
	// Slice is the gas of one, some 0.1 ms of compiled code, and with a cache miss
	// for each unit of gas some 10 ms. A host need not use slices: with all gas in
	// ExportGas and none in ExportReserve there is one.
	Slice = 100_000

	// bulkSlice is the bytes that one operation on a range of memory handles at once.
	bulkSlice = 1 << 20
)

// added is a function that follows the module's own.
type added struct {
	kind byte // 0 for refill, or the instruction that it does in slices
	typ  uint32
	body []byte
}

// need returns the index of an added function, and its type.
func (m *module) need(kind byte) (index, typ uint32) {
	first := uint32(len(m.imports) + len(m.funcs))
	for i, a := range m.added {
		if a.kind == kind {
			return first + uint32(i), a.typ
		}
	}
	a := added{kind: kind}
	if kind == 0 {
		a.typ, a.body = uint32(m.typeFor(nil, []byte{typeI64})), m.refillBody()
	} else {
		a.typ, a.body = uint32(m.typeFor([]byte{typeI32, typeI32, typeI32}, nil)), bulkBody(kind)
	}
	m.added = append(m.added, a)
	return first + uint32(len(m.added)-1), a.typ
}

func (m *module) refill() uint32 {
	index, _ := m.need(0)
	return index
}

// refillBody hands out the next slice and returns it. Where there is nothing left it says so in
// the global of the gas, and traps.
func (m *module) refillBody() []byte {
	const total, slice = 0, 1
	gas, reserve := m.gasGlobal(), m.reserveGlobal()
	w := &writer{}
	w.bytes([]byte{1, 2, typeI64})
	w.global(0x23, gas)
	w.global(0x23, reserve)
	w.byte(0x7c) // i64.add
	w.local(0x22, total)
	w.bytes([]byte{0x42, 0, 0x53, 0x04, 0x40}) // i64.const 0; i64.lt_s; if
	w.local(0x20, total)
	w.global(0x24, gas)
	w.bytes([]byte{0x42, 0}) // i64.const 0
	w.global(0x24, reserve)
	w.bytes([]byte{0x00, 0x0b}) // unreachable; end
	w.local(0x20, total)
	w.byte(0x42)
	w.s64(Slice)
	w.local(0x20, total)
	w.byte(0x42)
	w.s64(Slice)
	w.bytes([]byte{0x53, 0x1b}) // i64.lt_s; select
	w.local(0x22, slice)
	w.global(0x24, gas)
	w.local(0x20, total)
	w.local(0x20, slice)
	w.byte(0x7d) // i64.sub
	w.global(0x24, reserve)
	if m.memory != nil {
		pause(w)
	}
	w.local(0x20, slice)
	w.byte(0x0b)
	return w.buf
}

// pause leaves compiled code and comes back.
func pause(w *writer) { w.bytes([]byte{0x41, 0, 0x40, 0, 0x1a}) } // i32.const 0; memory.grow; drop

// bulkBody does memory.fill or memory.copy, in slices. One that is out of bounds
// is left to the instruction, which traps before it writes anything.
func bulkBody(kind byte) []byte {
	const to, from, n = 0, 1, 2 // from is the value of a fill
	w := &writer{}
	w.byte(0)
	do := func() {
		w.bytes([]byte{0xfc, kind, 0})
		if kind == bulkCopy {
			w.byte(0)
		}
	}
	inside := func(local uint32) { // i64(local) + i64(n) <= i64(memory.size) << 16
		w.local(0x20, local)
		w.byte(0xad)
		w.local(0x20, n)
		w.bytes([]byte{0xad, 0x7c, 0x3f, 0, 0xad, 0x42, 16, 0x86, 0x58})
	}
	move := func(local uint32) { // local += bulkSlice
		w.local(0x20, local)
		w.byte(0x41)
		w.s64(bulkSlice)
		w.byte(0x6a)
		w.local(0x21, local)
	}
	shrink := func() { // n -= bulkSlice
		w.local(0x20, n)
		w.byte(0x41)
		w.s64(bulkSlice)
		w.byte(0x6b)
		w.local(0x21, n)
	}
	again := func() { // the next turn, as long as n > bulkSlice
		pause(w)
		w.local(0x20, n)
		w.byte(0x41)
		w.s64(bulkSlice)
		w.bytes([]byte{0x4b, 0x0d, 0, 0x0b}) // i32.gt_u; br_if 0; end
	}
	inside(to)
	if kind == bulkCopy {
		inside(from)
		w.byte(0x71) // i32.and
	}
	w.bytes([]byte{0x41, 0, 0x47, 0x04, 0x40}) // i32.const 0; i32.ne; if
	if kind == bulkCopy {                      // upwards if that reads each byte before it is overwritten
		w.local(0x20, to)
		w.local(0x20, from)
		w.bytes([]byte{0x4b, 0x04, 0x40, 0x03, 0x40}) // i32.gt_u; if; loop
		shrink()
		for _, local := range []uint32{to, from} {
			w.local(0x20, local)
			w.local(0x20, n)
			w.byte(0x6a)
		}
		w.byte(0x41)
		w.s64(bulkSlice)
		do()
		again()
		w.byte(0x05)
	}
	w.bytes([]byte{0x03, 0x40}) // loop
	w.local(0x20, to)
	w.local(0x20, from)
	w.byte(0x41)
	w.s64(bulkSlice)
	do()
	move(to)
	if kind == bulkCopy {
		move(from)
	}
	shrink()
	again()
	if kind == bulkCopy {
		w.byte(0x0b)
	}
	w.byte(0x0b)
	w.local(0x20, to)
	w.local(0x20, from)
	w.local(0x20, n)
	do()
	w.byte(0x0b)
	return w.buf
}

// Instructions on ranges of memory, behind 0xfc.
const (
	bulkInit = 8
	bulkCopy = 10
	bulkFill = 11
)
