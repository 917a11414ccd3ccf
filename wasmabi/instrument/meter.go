package instrument

// Gas is kept in a local besides the global: the global is always right, and
// the local too in loops that call nothing, where it saves waiting for memory
// at each turn.

// fold spares small functions that neither loop nor call from charging: what
// they cost is known, and their callers pay it with the stretch that calls.
// A function that can be called from elsewhere charges itself.
func (m *module) fold(funcs []*function) {
	elsewhere := make([]bool, len(m.imports)+len(funcs))
	mark := func(i uint32) {
		if int(i) < len(elsewhere) {
			elsewhere[i] = true
		}
	}
	for _, e := range m.exports {
		if e.kind == 0 {
			mark(e.index)
		}
	}
	for _, list := range m.elements {
		for _, i := range list {
			mark(i)
		}
	}
	if m.start >= 0 {
		mark(uint32(m.start))
	}
	for i, f := range funcs {
		f.folded = !elsewhere[len(m.imports)+i] && len(f.loops) == 0 && !f.callsAny() && f.ranges == 0 && f.stretches[0].cost <= maxFold
	}
	for _, f := range funcs {
		for _, c := range f.calls {
			if i := int(c.callee) - len(m.imports); i >= 0 && funcs[i].folded {
				f.stretches[c.stretch].cost += funcs[i].stretches[0].cost
			}
		}
	}
}

// maxFold is the gas of a function that its callers pay for at most.
const maxFold = 100

// enter charges for the function, and has it count its depth: in a block that
// is left when the stack is used up. It ends with a block that every way out of
// the body ends.
func (f *function) enter() {
	if f.counted {
		f.out.bytes([]byte{0x02, 0x40})
	}
	if !f.folded {
		f.charge(f.stretches[0].cost)
	}
	if f.counted {
		f.descend()
		f.out.byte(0x02)
		f.module.blockType(&f.out, f.typ.results)
	}
}

func (f *function) descend() {
	w := &f.out
	w.global(0x23, f.module.stackGlobal())
	w.local(0x22, f.depthLocal())
	w.byte(0x41)
	w.s64(int64(f.weight))
	w.byte(0x6b) // i32.sub
	w.local(0x22, f.local(typeI32, 0))
	w.global(0x24, f.module.stackGlobal())
	w.local(0x20, f.local(typeI32, 0))
	w.byte(0x41)
	w.s64(int64(f.room))
	w.bytes([]byte{0x48, 0x0d, 0}) // i32.lt_s; br_if
}

// leave takes the depth back, to what it was and not by adding, so that calls one after
// the other do not wait for each other, and has the trap behind it. The function's own
// end has been written as that of the block around its body.
func (f *function) leave() {
	if !f.counted {
		return
	}
	w := &f.out
	w.local(0x20, f.depthLocal())
	w.global(0x24, f.module.stackGlobal())
	w.bytes([]byte{0x0f, 0x0b, 0x41, 0x7f}) // return; end; i32.const -1: below zero the counter tells why
	w.global(0x24, f.module.stackGlobal())
	w.bytes([]byte{0x00, 0x0b}) // unreachable; end
}

// readGas has the local hold what the global does.
func (f *function) readGas() {
	f.out.global(0x23, f.module.gasGlobal())
	f.out.local(0x21, f.local(typeI64, 0))
}

// charge takes a cost from the gas.
func (f *function) charge(cost int64) {
	if cost > 0 {
		f.out.global(0x23, f.module.gasGlobal())
		f.out.byte(0x42)
		f.out.s64(cost)
		f.take()
	}
}

// turn begins a loop and takes what a turn of it costs. Where the loop calls nothing the local holds the gas.
// What the loop does becomes the first arm of an if, of the loop's type. The other asks for
// gas and begins the turn again: compilers put it out of the way.
func (f *function) turn(ordinal int, instruction []byte) {
	l, cost := &f.loops[ordinal], f.stretches[ordinal+1].cost
	outermost := l.parent < 0 || f.loops[l.parent].calls
	if !l.calls && outermost && (f.callsAny() || f.stretches[0].cost == 0) {
		f.readGas() // the local does not hold it yet, or no longer
	}
	w := &f.out
	w.bytes(instruction)
	switch {
	case !l.again:
		f.charge(cost)
		return
	case l.calls:
		w.global(0x23, f.module.gasGlobal())
	default:
		w.local(0x20, f.local(typeI64, 0))
	}
	w.byte(0x42)
	w.s64(cost)
	f.below()
	w.byte(0x04)             // if
	w.bytes(instruction[1:]) // of the same type
}

// again ends what turn began.
func (f *function) again(ordinal int) {
	l, w := &f.loops[ordinal], &f.out
	w.byte(0x05) // else
	if len(l.carried) <= maxCarried {
		for _, c := range l.carried {
			c.copy(w)
		}
	}
	w.byte(0x10)
	w.u32(f.module.refill())
	w.byte(0x42)
	w.s64(f.stretches[ordinal+1].cost)
	w.byte(0x7c) // i64.add
	if l.calls {
		w.global(0x24, f.module.gasGlobal())
	} else {
		w.local(0x21, f.local(typeI64, 0))
	}
	w.bytes([]byte{0x0c, 1, 0x0b}) // br 1; end
}

// chargeBytes takes an eighth of the i32 on top of the stack, a length in bytes,
// from the gas; the i32 stays.
func (f *function) chargeBytes() {
	w := &f.out
	w.local(0x22, f.local(typeI32, 0))
	w.global(0x23, f.module.gasGlobal())
	w.local(0x20, f.local(typeI32, 0))
	w.bytes([]byte{0xad, 0x42, bulkShift, 0x88}) // i64.extend_i32_u; i64.const; i64.shr_u
	f.take()
}

// inSlices has an added function do what is large. The length is in the local
// that chargeBytes used. A segment that memory.init copies is no larger than the
// module, and is copied at once.
func (f *function) inSlices(instruction []byte, kind byte) {
	w := &f.out
	w.local(0x20, f.local(typeI32, 0))
	w.byte(0x41)
	w.s64(bulkSlice)
	w.bytes([]byte{0x4b, 0x04}) // i32.gt_u; if
	callee, typ := f.module.need(kind)
	w.s64(int64(typ))
	w.byte(0x10)
	w.u32(callee)
	w.byte(0x05)
	w.bytes(instruction)
	w.byte(0x0b)
}

// chargePages takes the price of the pages on top of the stack from the gas; the
// i32 stays. More pages than there can be are refused by memory.grow and cost
// nothing.
func (f *function) chargePages() {
	w := &f.out
	n := f.local(typeI32, 0)
	w.local(0x22, n)
	w.global(0x23, f.module.gasGlobal())
	w.local(0x20, n)
	w.bytes([]byte{0x41, 0})
	w.local(0x20, n)
	w.byte(0x41)
	w.s64(1 << 16)
	w.bytes([]byte{0x49, 0x1b, 0xad, 0x42, growShift, 0x86}) // i32.lt_u; select; i64.extend_i32_u; i64.const; i64.shl
	f.take()
}

// below ends a charge: gas and cost are on the stack, and then whether there is enough.
func (f *function) below() {
	w := &f.out
	g := f.local(typeI64, 0)
	w.byte(0x7d) // i64.sub
	w.local(0x22, g)
	w.global(0x24, f.module.gasGlobal())
	w.local(0x20, g)
	w.bytes([]byte{0x42, 0, 0x59}) // i64.const 0; i64.ge_s
}

// take ends a charge and asks for more where there is not enough. It does so in the second arm of an if: wazero's
// compiler gives what follows the registers of the first, and has only the arm
// that calls save and load them.
func (f *function) take() {
	f.below()
	f.out.bytes([]byte{0x04, 0x40, 0x05, 0x10}) // if; else; call
	f.out.u32(f.module.refill())
	f.out.local(0x21, f.local(typeI64, 0))
	f.out.byte(0x0b)
}
