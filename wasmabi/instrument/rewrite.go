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
	var sized writer
	sized.buf = make([]byte, 0, len(w.buf)+len(f.out.buf)+5)
	sized.u32(uint32(len(w.buf) + len(f.out.buf)))
	sized.bytes(w.buf)
	for i := range f.runs {
		f.runs[i].to += len(sized.buf)
	}
	sized.bytes(f.out.buf)
	f.out, f.edits, f.tables = writer{}, nil, nil
	return sized.buf
}

// code writes the instructions with what is added between them.
func (f *function) code() {
	data := f.body.code.data
	f.out.buf = make([]byte, 0, len(data)*5/4+64)
	f.at, f.nans = f.body.code.at, f.canonical
	f.note(f.at, false)
	f.enter()
	for _, e := range f.edits {
		f.through(int(e.at))
		f.note(int(e.at), false)
		f.change(e, data[e.at:e.to])
		f.at = int(e.to)
	}
	f.through(len(data))
	f.leave()
}

// through copies what comes before a place, and makes NaNs canonical in it.
func (f *function) through(to int) {
	data := f.body.code.data
	for len(f.nans) > 0 && int(f.nans[0].at) <= to {
		f.note(f.at, true)
		f.out.bytes(data[f.at:f.nans[0].at])
		f.at = int(f.nans[0].at)
		f.note(f.at-1, false)
		f.canonicalise(f.nans[0].kind)
		f.nans = f.nans[1:]
	}
	f.note(f.at, true)
	f.out.bytes(data[f.at:to])
}

// change carries out an edit of an instruction.
func (f *function) change(e edit, instruction []byte) {
	w := &f.out
	switch e.kind {
	case editBranch:
		w.byte(e.op)
		w.u32(e.arg)
	case editTable:
		w.bytes(f.tables[e.arg])
	case editReturn:
		if !f.counted {
			w.bytes(instruction)
			return
		}
		w.byte(0x0c) // br
		w.u32(e.arg)
	case editLoop:
		f.turn(int(e.arg), instruction)
	case editAgain:
		f.again(int(e.arg))
	case editBarrier:
		w.bytes([]byte{0x41, 0, 0x47}) // i32.const 0; i32.ne
	case editSelect:
		f.choose(byte(e.arg))
	case editGrow:
		f.chargePages()
		w.bytes(instruction)
	case editBulk:
		f.chargeBytes()
		if e.op == bulkInit {
			f.guardInit(e.arg)
			w.bytes(instruction)
			return
		}
		f.inSlices(instruction, e.op)
	case editDrop:
		f.drop(e.arg)
	}
}

func (f *function) callsAny() bool { return len(f.calls)+len(f.indirect) > 0 }
