package instrument

// edit is a place where a function is changed. The first reading plans them all, in
// the order of the code; what lies between is copied as it is.
type edit struct {
	at, to uint32 // the bytes that it is about; at = to where it only adds
	kind   editKind
	op     byte
	arg    uint32
}

type editKind uint8

const (
	editBranch  editKind = iota // of an op, to a label with another number
	editTable                   // a br_table, the arg-th of the function
	editReturn                  // from a function that counts its depth it leads to the label
	editLoop                    // the arg-th begins
	editAgain                   // and ends
	editBarrier                 // before a conditional branch
	editGrow
	editBulk   // an op on a range; of memory.init the segment
	editDrop   // of a data segment
	editSelect // of values of the type arg
)

// plan adds the edits for an instruction that was followed.
func (f *function) plan(w *flow, in *instr) {
	add := func(kind editKind, arg uint32) {
		f.edits = append(f.edits, edit{uint32(in.from), uint32(in.to), kind, in.op, arg})
	}
	switch in.op {
	case 0x03:
		add(editLoop, uint32(w.top().loop))
	case 0x0c, 0x0d:
		if shifted := w.shifted(in.imm); shifted != in.imm {
			add(editBranch, shifted)
		}
	case 0x0e:
		if w.top().within > 0 {
			add(editTable, uint32(len(f.tables)))
			f.tables = append(f.tables, w.shiftedTable(in))
		}
	case 0x0f:
		add(editReturn, w.shifted(uint32(len(w.frames)-1)))
	case 0x1b, 0x1c:
		if w.chosen != 0 {
			add(editSelect, uint32(w.chosen))
		}
	case 0x40:
		add(editGrow, 0)
	case 0xfc:
		switch in.sub {
		case bulkInit, bulkCopy, bulkFill:
			add(editBulk, in.imm)
			f.edits[len(f.edits)-1].op = byte(in.sub)
		case 9:
			add(editDrop, in.imm)
		}
	}
}

// planEnd adds that of a loop's end, before it is followed.
func (f *function) planEnd(w *flow, in *instr) {
	if b := w.top(); b.op == 0x03 && f.loops[b.loop].again {
		f.edits = append(f.edits, edit{uint32(in.from), uint32(in.from), editAgain, in.op, uint32(b.loop)})
	}
}

// shifted is a label's number with the ifs between that turn will add.
func (w *flow) shifted(depth uint32) uint32 {
	target := len(w.frames) - 1 - int(depth)
	crossed := w.top().within
	if target > 0 {
		crossed -= w.frames[target-1].within
	}
	return depth + uint32(crossed)
}

func (w *flow) shiftedTable(in *instr) []byte {
	var out writer
	out.byte(in.op)
	out.u32(uint32(in.count))
	for l := in.labels(w.r); l.left > 0; {
		out.u32(w.shifted(l.next()))
	}
	out.u32(w.shifted(in.imm))
	return out.buf
}
