package instrument

import (
	"fmt"
	"sort"
)

// value is one operand: its type, 0 where code cannot be reached and any would
// do, and where it comes from, as far as the bits of NaNs go.
type value struct {
	typ    byte
	node   int32 // in the function's floats; 0 is a value of known bits
	signed bool  // the sign was changed on the way
	plain  bool  // it is no NaN
	origin origin
}

// frame is an open block.
type frame struct {
	op              byte
	params, results []byte
	height          int // of the operands below
	unreachable     bool
	stretch         int   // of gas, that it belongs to
	loop            int   // ordinal of the innermost loop, -1 outside of loops
	loops           int   // how many are around
	within          int   // how many of them, itself included, get an if around their body
	opened          int32 // ordinal of the instruction
}

// flow follows the types of the operands through a function, as the validation
// algorithm of the specification does (its appendix), and refuses what has
// none. Immediates that change nothing here (alignments, lanes) are left to
// the engine's own validation.
type flow struct {
	f      *function
	r      *reader
	stack  []value
	frames []frame
	locals []byte
	chosen byte    // the type of the last select's values where it is to be an if
	set    []int32 // ordinal of the last instruction that set each local, and 1
	got    []int32 // that read it
	// What each local may hold, of all that it was set to so far.
	origins []origin
}

func (w *flow) invalid(format string, args ...any) {
	w.r.fail(Invalid, fmt.Sprintf(format, args...))
}

func (w *flow) top() *frame { return &w.frames[len(w.frames)-1] }

func (w *flow) push(v value) {
	w.stack = append(w.stack, v)
	w.f.slots.push(len(w.stack), len(w.locals))
}

func (w *flow) pushAll(types []byte, o origin) {
	w.move(len(types))
	for _, t := range types {
		w.push(value{typ: t, origin: o})
	}
}

// move counts operands that a block or a call takes or gives.
func (w *flow) move(n int) {
	w.f.module.moved.take(w.r, n)
	w.machine(n * operandCode)
}

// machine counts bytes of machine code.
func (w *flow) machine(n int) {
	w.f.module.machine.take(w.r, n)
	if w.f.machine += n; w.f.machine > maxMachineOfFunc {
		w.r.fail(TooMany, w.f.module.machine.what+" of a function")
	}
}

// pop takes an operand of a type, of any type where it is 0.
func (w *flow) pop(want byte) value {
	b := w.top()
	if len(w.stack) == b.height {
		if !b.unreachable {
			w.invalid("operand is missing")
		}
		return value{typ: want}
	}
	v := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	if v.typ != want && v.typ != 0 && want != 0 {
		w.invalid("operand has type %#x, want %#x", v.typ, want)
	}
	return v
}

// popAll takes operands whose bits can be seen from now on.
func (w *flow) popAll(types []byte) {
	w.move(len(types))
	for i := len(types) - 1; i >= 0; i-- {
		w.f.floats.escape(w.pop(types[i]))
	}
}

// peekAll is popAll of operands that stay.
func (w *flow) peekAll(types []byte) {
	w.popAll(types)
	w.pushAll(types, fromAnywhere)
}

func (w *flow) unreachable() {
	b := w.top()
	w.stack = w.stack[:b.height]
	b.unreachable = true
}

func (w *flow) begin(op byte, t funcType) {
	w.popAll(t.params)
	w.branches(blocksOf[op])
	b := frame{op: op, params: t.params, results: t.results, height: len(w.stack), loop: -1, opened: int32(w.f.count) + 1}
	if len(w.frames) > 0 {
		b.stretch, b.loop, b.loops, b.within = w.top().stretch, w.top().loop, w.top().loops, w.top().within
	}
	w.frames = append(w.frames, b)
	w.pushAll(t.params, fromAnywhere)
}

// blocksOf tells how many stretches without branches a compiler makes of a block, with
// those that the rewriting adds.
var blocksOf = [5]int{0x02: 1, 0x03: 5, 0x04: 3}

const blocksOfRange = 9 // of an operation that pays by length, a memory.fill; others make fewer

// branches counts so many beginnings of stretches and what lives across them.
func (w *flow) branches(n int) {
	w.f.module.pairs.take(w.r, n*(2*w.f.branches+n))
	w.f.branches += n
	live := n * (len(w.locals) + len(w.stack))
	w.f.module.live.take(w.r, live)
	if w.f.live += live; w.f.live > maxLiveOfFunc {
		w.r.fail(TooMany, w.f.module.live.what+" of a function")
	}
}

func (w *flow) end() {
	b := *w.top()
	w.popAll(b.results)
	if len(w.stack) != b.height {
		w.invalid("%d operands are left over at the end of a block", len(w.stack)-b.height)
	}
	w.frames = w.frames[:len(w.frames)-1]
	w.pushAll(b.results, fromAnywhere)
}

// label gives the types that a branch to it carries.
func (w *flow) label(depth uint32) []byte {
	if uint64(depth) >= uint64(len(w.frames)) {
		w.invalid("label %d of %d", depth, len(w.frames))
	}
	b := &w.frames[len(w.frames)-1-int(depth)]
	if b.op == 0x03 {
		return b.params
	}
	return b.results
}

// blockType reads the type of a block from its immediate.
func (w *flow) blockType(in *instr) funcType {
	switch {
	case in.wide == -64:
		return funcType{}
	case in.wide < 0:
		t := byte(in.wide & 0x7f)
		if !isValueType(t) {
			w.invalid("block of type %#x", t)
		}
		return funcType{results: []byte{t}}
	case in.wide >= int64(len(w.f.module.types)):
		w.invalid("type %d of a block does not exist", in.wide)
	}
	return w.f.module.types[in.wide]
}

// step follows one instruction.
func (w *flow) step(in *instr) {
	if s := fixed(in); s != nil {
		w.simple(in, s)
		return
	}
	switch in.op {
	case 0x00:
		w.unreachable()
	case 0x01:
	case 0x02, 0x03:
		w.begin(in.op, w.blockType(in))
	case 0x04:
		w.condition(in)
		w.begin(in.op, w.blockType(in))
	case 0x05:
		w.otherwise()
	case 0x0b:
		w.finish()
	case 0x0c, 0x0d, 0x0e, 0x0f:
		w.branch(in)
	case 0x10, 0x11:
		w.call(in)
	case 0x1a:
		w.pop(0)
	case 0x1b, 0x1c:
		w.choose(in)
	case 0x20, 0x21, 0x22:
		w.local(in)
	case 0x23, 0x24:
		w.global(in)
	case 0x25, 0xd0, 0xd1:
		w.reference(in)
	default:
		w.r.fail(Forbidden, "instruction "+spell(in))
	}
}

func (w *flow) otherwise() {
	b := *w.top()
	if b.op != 0x04 {
		w.invalid("else without if")
	}
	w.end()
	w.stack = w.stack[:len(w.stack)-len(b.results)]
	b.op, b.unreachable = 0x05, false
	w.frames = append(w.frames, b)
	w.pushAll(b.params, fromAnywhere)
}

func (w *flow) finish() {
	if b := w.top(); b.op == 0x04 && string(b.params) != string(b.results) {
		w.invalid("if of this type needs an else")
	}
	w.end()
}

func (w *flow) branch(in *instr) {
	switch in.op {
	case 0x0c:
		w.popAll(w.label(in.imm))
		w.unreachable()
	case 0x0d:
		w.condition(in)
		w.branches(1)
		w.peekAll(w.label(in.imm))
	case 0x0e:
		w.pop(typeI32)
		w.branches(in.count + 1)
		arity := len(w.label(in.imm)) // the default's
		for r := in.labels(w.r); r.left > 0; {
			types := w.label(r.next())
			if len(types) != arity {
				w.invalid("labels of a br_table carry %d and %d operands", len(types), arity)
			}
			w.peekAs(types)
		}
		w.popAll(w.label(in.imm))
		w.unreachable()
	case 0x0f:
		w.popAll(w.frames[0].results)
		w.unreachable()
	}
}

// peekAs checks operands against types and leaves them as they are.
func (w *flow) peekAs(types []byte) {
	w.move(len(types) + 1)
	at := len(w.stack)
	saved := append(w.f.scratch[:0], w.stack[max(w.top().height, at-len(types)):]...)
	for i := len(types) - 1; i >= 0; i-- {
		w.f.floats.escape(w.pop(types[i]))
	}
	w.stack = append(w.stack, saved...)
	w.f.scratch = saved
}

func (w *flow) call(in *instr) {
	m := w.f.module
	var t funcType
	if in.op == 0x10 {
		var ok bool
		if t, ok = m.typeOf(int(in.imm)); !ok {
			w.invalid("call of function %d, which does not exist", in.imm)
		}
	} else {
		if uint64(in.imm) >= uint64(len(m.types)) {
			w.invalid("type %d does not exist", in.imm)
		}
		if uint64(in.second) >= uint64(len(m.tableMin)) || m.tableType[in.second] != typeFunc {
			w.invalid("table %d of functions does not exist", in.second)
		}
		w.pop(typeI32)
		t = m.types[in.imm]
	}
	w.popAll(t.params)
	w.f.slots.call(len(w.stack), len(t.params)+len(t.results))
	w.pushAll(t.results, fromElsewhere)
}

// choose is select. What it gives may be either operand.
func (w *flow) choose(in *instr) {
	want := byte(0)
	if in.op == 0x1c {
		want = byte(in.wide)
	}
	if w.chosen = w.floatChosen(want); w.chosen != 0 { // see select.go
		w.condition(in)
		w.branches(blocksOf[0x04])
		w.machine(selectCode)
	} else {
		w.pop(typeI32)
	}
	b := w.pop(want)
	if want == 0 {
		want = b.typ
	}
	a := w.pop(want)
	if want == 0 {
		want = a.typ
	}
	if in.op == 0x1b && (want == typeFunc || want == typeExt) {
		w.invalid("select of references needs a type")
	}
	w.push(value{typ: want, node: w.f.floats.either(w, a, b)})
}

func (w *flow) local(in *instr) {
	if uint64(in.imm) >= uint64(len(w.locals)) {
		w.invalid("local %d of %d", in.imm, len(w.locals))
	}
	t := w.locals[in.imm]
	if in.op == 0x20 {
		w.got[in.imm] = int32(w.f.count) + 1
		w.push(value{typ: t, node: w.f.floats.get(w, t, in.imm), origin: w.origins[in.imm]})
		return
	}
	w.assign(in.imm)
	v := w.pop(t)
	w.origins[in.imm] |= v.origin
	w.f.floats.set(w, v, t, in.imm)
	if in.op == 0x22 {
		w.push(value{typ: t, node: w.f.floats.get(w, t, in.imm), origin: v.origin})
	}
}

// assign counts a new value of a local, and the labels at which it may meet
// others: the ends of the blocks around in which it was not set before.
func (w *flow) assign(local uint32) {
	last := w.set[local]
	inside := sort.Search(len(w.frames), func(i int) bool { return w.frames[i].opened > last })
	w.f.slots.assigned++
	met, m := len(w.frames)-inside, w.f.module
	w.f.slots.met += met
	if m.met += met; m.met > m.maxMet {
		w.r.fail(TooMany, "values of locals that meet at the ends of blocks")
	}
	w.f.carry(w.top().loop, carried{local, w.locals[local]}, last, w.got[local])
	w.set[local] = int32(w.f.count) + 1
}

func (w *flow) global(in *instr) {
	if uint64(in.imm) >= uint64(len(w.f.module.globals)) {
		w.invalid("global %d does not exist", in.imm)
	}
	g := &w.f.module.globals[in.imm]
	if in.op == 0x23 {
		w.push(value{typ: g.typ})
		return
	}
	if !g.mutable {
		w.invalid("global %d is not mutable", in.imm)
	}
	w.f.floats.escape(w.pop(g.typ))
}

func (w *flow) reference(in *instr) {
	switch in.op {
	case 0x25:
		if uint64(in.imm) >= uint64(len(w.f.module.tableMin)) {
			w.invalid("table %d does not exist", in.imm)
		}
		w.pop(typeI32)
		w.push(value{typ: w.f.module.tableType[in.imm]})
	case 0xd0:
		if t := byte(in.imm); t != typeFunc && t != typeExt {
			w.invalid("reference of type %#x", t)
		}
		w.push(value{typ: byte(in.imm)})
	case 0xd1:
		if t := w.pop(0).typ; t != 0 && t != typeFunc && t != typeExt {
			w.invalid("operand has type %#x, want a reference", t)
		}
		w.push(value{typ: typeI32})
	}
}

// simple follows an instruction of fixed type.
func (w *flow) simple(in *instr, s *signature) {
	m := w.f.module
	if m.memory == nil && needsMemory(in) {
		w.invalid("the module has no memory")
	}
	if in.op == 0xfc && (in.sub == 8 || in.sub == 9) && uint64(in.imm) >= uint64(m.dataCount) {
		w.invalid("data segment %d does not exist", in.imm)
	}
	o := w.originOf(in)
	w.f.floats.simple(w, in, s)
	if o != fromElsewhere {
		w.stack[len(w.stack)-1].origin = o
	}
}

func needsMemory(in *instr) bool {
	switch in.op {
	case 0xfc:
		return in.sub == 8 || in.sub == 10 || in.sub == 11
	case 0xfd:
		return in.sub <= 11 || in.sub >= 84 && in.sub <= 93
	}
	return in.op >= 0x28 && in.op <= 0x40
}
