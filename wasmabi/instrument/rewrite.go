package instrument

// rewrite returns the new body, its size in front.
func (f *function) rewrite() []byte {
	f.code()
	var w writer
	w.u32(uint32(len(f.body.locals) + len(f.added)))
	for _, run := range f.body.locals {
		w.u32(run.count)
		w.byte(run.typ)
	}
	for _, typ := range f.added {
		w.u32(1)
		w.byte(typ)
	}
	w.bytes(f.out.buf)
	var sized writer
	sized.u32(uint32(len(w.buf)))
	sized.bytes(w.buf)
	f.out = writer{}
	return sized.buf
}

// code writes the instructions with what is added between them.
func (f *function) code() {
	r := *f.body.code
	f.out.buf = make([]byte, 0, len(r.data)*5/4+64)
	f.enter()
	f.open = append(f.open[:0], block{}) // the function itself
	loops := 0
	nans, barriers := f.canonical, f.barriers
	for n := int32(0); len(f.open) > 0; n++ {
		in := f.next(&r)
		if len(barriers) > 0 && barriers[0] == n {
			f.out.bytes([]byte{0x41, 0, 0x47}) // i32.const 0; i32.ne
			barriers = barriers[1:]
		}
		f.before(in, loops)
		f.copy(&r, in)
		switch in.op {
		case 0x02, 0x04:
			f.open = append(f.open, block{within: f.top().within})
		case 0x03:
			f.open = append(f.open, block{within: f.top().within})
			f.turn(loops, r.data[in.from+1:in.to], in)
			loops++
		case 0x0b:
			f.open = f.open[:len(f.open)-1]
		}
		if len(nans) > 0 && nans[0].at == n {
			f.canonicalise(nans[0].kind)
			nans = nans[1:]
		}
	}
	f.leave()
}

// copy writes an instruction, or what stands for it.
func (f *function) copy(r *reader, in instr) {
	w := &f.out
	switch {
	case in.op == 0x0b && f.top().again:
		f.again(f.top().loop)
		w.byte(0x0b)
	case in.op == 0x0c || in.op == 0x0d:
		w.byte(in.op)
		w.u32(f.label(in.imm))
	case in.op == 0x0e:
		w.byte(in.op)
		w.u32(uint32(in.count))
		for l := in.labels(r); l.left > 0; {
			w.u32(f.label(l.next()))
		}
		w.u32(f.label(in.imm))
	case in.op == 0x0f && f.counted: // return leaves through the end
		w.byte(0x0c)
		w.u32(f.label(uint32(len(f.open) - 1)))
	case in.op == 0xfc && in.sub == 9:
		f.drop(in.imm)
	case in.op == 0xfc && (in.sub == bulkCopy || in.sub == bulkFill):
		f.inSlices(r.data[in.from:in.to], byte(in.sub))
	default:
		w.bytes(r.data[in.from:in.to])
	}
}

// before writes what must stand before an instruction.
func (f *function) before(in instr, loops int) {
	switch {
	case in.op == 0x03:
		outermost := f.loops[loops].parent < 0 || f.loops[f.loops[loops].parent].calls
		if !f.loops[loops].calls && outermost && (f.callsAny() || f.stretches[0].cost == 0) {
			f.readGas() // the local does not hold it yet, or no longer
		}
	case in.op == 0x40:
		f.chargePages()
	case in.op == 0xfc && (in.sub == bulkInit || in.sub == bulkCopy || in.sub == bulkFill):
		f.chargeBytes()
		if in.sub == bulkInit {
			f.guardInit(in.imm)
		}
	}
}

func (f *function) callsAny() bool { return len(f.calls)+len(f.indirect) > 0 }

// block is one that is open while a function is written.
type block struct {
	within int  // how many loops around have an added if in them, itself among them
	again  bool // it is such a loop
	loop   int  // its ordinal
}

func (f *function) top() *block { return &f.open[len(f.open)-1] }

// label is where a branch leads with the added blocks in between.
func (f *function) label(depth uint32) uint32 {
	target := len(f.open) - 1 - int(depth)
	crossed := f.top().within
	if target > 0 {
		crossed -= f.open[target-1].within
	}
	return depth + uint32(crossed)
}
