package instrument

// wazero v1.12.0 compiles a conditional branch on an ordered comparison of zero
// with an `and` wrongly: docs/engine-bugs.md. It looks for these instructions
// behind locals, too, so that where an operand comes from is followed through
// the function: what a local may hold is all that it was set to before, in the order of
// the code, for what is set later reaches a loop's beginning only together
// with what was there before, and that is no instruction.
type origin uint8

const (
	fromZero      origin = 1 << iota // a constant
	fromAnd                          // i32.and, i64.and
	fromOrder                        // of a zero and an `and`
	fromElsewhere origin = 0
	fromAnywhere         = fromZero | fromAnd | fromOrder
)

// originOf tells it of an instruction's result. Its operands are on the stack yet.
func (w *flow) originOf(in *instr) origin {
	switch op := in.op; {
	case op == 0x41 || op == 0x42: // i32.const, i64.const
		if in.wide == 0 {
			return fromZero
		}
	case op == 0x71 || op == 0x83: // i32.and, i64.and
		return fromAnd
	case op >= 0x48 && op <= 0x4f || op >= 0x53 && op <= 0x5a: // lt gt le ge
		a, b := w.operand(1), w.operand(0)
		if a&fromZero != 0 && b&fromAnd != 0 || a&fromAnd != 0 && b&fromZero != 0 {
			return fromOrder
		}
	case op >= 0x74 && op <= 0x76 || op >= 0x86 && op <= 0x88: // a shift by nothing is left out
		return w.operand(1)
	}
	return fromElsewhere
}

// operand is the origin of one, 0 for the one on top.
func (w *flow) operand(below int) origin {
	if at := len(w.stack) - 1 - below; at >= w.top().height {
		return w.stack[at].origin
	}
	return fromElsewhere // there is none where code cannot be reached
}

// condition takes that of a branch.
func (w *flow) condition(in *instr) {
	if w.pop(typeI32).origin&fromOrder != 0 {
		w.f.edits = append(w.f.edits, edit{at: uint32(in.from), to: uint32(in.from), kind: editBarrier})
	}
}
