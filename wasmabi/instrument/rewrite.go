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
	depth, loops := 0, 0 // open blocks of the function itself
	nans := f.canonical
	last := instr{op: 0x0b}
	for n := int32(0); ; n++ {
		in := f.next(&r)
		f.before(in, last, loops)
		f.copy(&r, in, depth)
		switch in.op {
		case 0x02, 0x04:
			depth++
		case 0x03:
			depth++
			loops++
			f.charge(f.stretches[loops].cost, !f.loops[loops-1].calls)
		case 0x0b:
			if depth--; depth < 0 {
				f.leave()
				return
			}
		}
		if len(nans) > 0 && nans[0].at == n {
			f.canonicalise(nans[0].kind)
			nans = nans[1:]
		}
		last = in
	}
}

// copy writes an instruction, or what stands for it.
func (f *function) copy(r *reader, in instr, depth int) {
	switch {
	case in.op == 0x0f && f.counted: // return leaves through the end
		f.out.byte(0x0c)
		f.out.u32(uint32(depth))
	case in.op == 0xfc && in.sub == 9:
		f.drop(in.imm)
	case in.op == 0xfc && (in.sub == bulkCopy || in.sub == bulkFill):
		f.inSlices(r.data[in.from:in.to], byte(in.sub))
	default:
		f.out.bytes(r.data[in.from:in.to])
	}
}

// before writes what must stand before an instruction.
func (f *function) before(in, last instr, loops int) {
	switch {
	case in.op == 0x03:
		outermost := f.loops[loops].parent < 0 || f.loops[f.loops[loops].parent].calls
		if !f.loops[loops].calls && outermost && (f.callsAny() || f.stretches[0].cost == 0) {
			f.readGas() // the local does not hold it yet, or no longer
		}
	case (in.op == 0x04 || in.op == 0x0d) && !barrierFree(last):
		f.out.bytes([]byte{0x41, 0, 0x47}) // i32.const 0; i32.ne
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
