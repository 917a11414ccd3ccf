package instrument

import "encoding/binary"

// floats follows the values of a function whose NaNs have bits that Wasm leaves
// open, from the instructions that make them to where the bits can be seen. A
// NaN need not be made canonical before that: arithmetic and comparisons ask
// only whether it is one.
//
// Every operand is taken once, so that to make it canonical where it comes
// from costs as much as where it goes. Only a local is read and set at several
// places, and one choice holds for all of them: either what is set is canonical
// (clean), or what is read is made so where it can be seen (open). A local that
// also holds what was only moved must be clean, for those bits stay as they are.
type floats struct {
	nodes  []node // the first is any value of known bits
	locals []floatLocal
	place  map[uint32]int32 // of a local in locals
}

// node is a value: what an instruction made, a local that was read, or one of
// two that a select took.
type node struct {
	at     int32 // where its instruction ends
	kind   floatKind
	use    use
	target int32 // a local, or a node
	weight int32 // the deeper in loops the more
	made   bool  // by arithmetic
	open   bool  // its bits are
	moved  bool  // it may be a NaN of bits that must stay
	split  bool  // of a select: what it takes is made canonical, not what it gives
}

// use is what takes a value.
type use uint8

const (
	hidden  use = iota // what asks no more than whether it is a NaN
	escapes            // what can tell its bits
	setsLocal
	chosen // a select
)

type floatLocal struct {
	gets  []int32 // nodes
	sets  []int32
	moved bool // what is set may be a NaN of bits that must stay
	clean bool // what is set is canonical
	open  bool // what is set may not be
}

func newFloats() floats {
	return floats{nodes: make([]node, 1)}
}

func (f *floats) add(w *flow, n node) int32 {
	n.at = int32(w.r.at)
	n.weight = int32(1) << (3 * min(w.top().loops, 8))
	f.nodes = append(f.nodes, n)
	return int32(len(f.nodes) - 1)
}

// escape has the bits of a value seen.
func (f *floats) escape(v value) {
	if v.node != 0 {
		f.nodes[v.node].use = escapes
	}
}

func scalar(typ byte) floatKind {
	switch typ {
	case typeF32:
		return f32
	case typeF64:
		return f64
	}
	return noFloat
}

func (f *floats) get(w *flow, typ byte, local uint32) int32 {
	kind := scalar(typ)
	if kind == noFloat {
		return 0
	}
	n := f.add(w, node{kind: kind})
	l := &f.locals[f.local(w, local)]
	l.gets = append(l.gets, n)
	return n
}

// local finds the place of a local among those of floats.
func (f *floats) local(w *flow, i uint32) int32 {
	at, ok := f.place[i]
	if !ok {
		if f.place == nil {
			f.place = make(map[uint32]int32)
		}
		at = int32(len(f.locals))
		f.place[i] = at
		f.locals = append(f.locals, floatLocal{moved: int(i) < len(w.f.typ.params)})
	}
	return at
}

func (f *floats) set(w *flow, v value, typ byte, local uint32) {
	if scalar(typ) == noFloat {
		f.escape(v)
		return
	}
	at := f.local(w, local)
	switch {
	case v.plain:
	case v.node == 0, v.signed: // a sign that was changed could not be restored later
		f.escape(v)
		f.locals[at].moved = true
	default:
		f.nodes[v.node].use, f.nodes[v.node].target = setsLocal, at
		f.locals[at].sets = append(f.locals[at].sets, v.node)
	}
}

// either is the value of a select between two.
func (f *floats) either(w *flow, a, b value) int32 {
	kind := scalar(a.typ)
	if a.node == 0 && b.node == 0 {
		return 0
	}
	if kind == noFloat || a.signed || b.signed {
		f.escape(a)
		f.escape(b)
		return 0
	}
	n := f.add(w, node{kind: kind, moved: a.node == 0 && !a.plain || b.node == 0 && !b.plain})
	for _, v := range []value{a, b} {
		if v.node != 0 {
			f.nodes[v.node].use, f.nodes[v.node].target = chosen, n
		}
	}
	return n
}

// simple takes the operands of an instruction of fixed type and gives its result.
func (f *floats) simple(w *flow, in *instr, s *signature) {
	made := produces(in)
	through, signed := passes(in)
	var kept value
	for i := len(s.params) - 1; i >= 0; i-- {
		v := w.pop(s.params[i])
		switch {
		case v.node == 0:
		case through && i == 0:
			kept = value{node: v.node, signed: v.signed || signed}
		case !hides(f.nodes[v.node].kind, in):
			f.escape(v)
		}
	}
	for _, t := range s.results {
		switch {
		case made != noFloat:
			w.push(value{typ: t, node: f.add(w, node{kind: made, made: true})})
		case through:
			w.push(value{typ: t, node: kept.node, signed: kept.signed})
		default:
			w.push(value{typ: t, plain: isNumber(w, in)})
		}
	}
}

// isNumber tells instructions that never give a NaN.
func isNumber(w *flow, in *instr) bool {
	switch {
	case in.op == 0x43:
		return binary.LittleEndian.Uint32(w.r.data[in.to-4:])&0x7fffffff <= 0x7f800000
	case in.op == 0x44:
		return binary.LittleEndian.Uint64(w.r.data[in.to-8:])&(1<<63-1) <= 0x7ff0<<48
	}
	return in.op >= 0xb2 && in.op <= 0xba && in.op != 0xb6 // conversions of integers
}

// passes tells instructions that move a scalar and change no more than its
// sign. Of two operands it is the first that is moved.
func passes(in *instr) (through, signed bool) {
	switch in.op {
	case 0x8b, 0x99: // abs: of whatever sign, a canonical NaN becomes the canonical one
		return true, false
	case 0x8c, 0x9a, 0x98, 0xa6: // neg copysign
		return true, true
	}
	return false, false
}

// canonical is an instruction, by where it ends, whose NaNs are made canonical.
type canonical struct {
	at   int32
	kind floatKind
}

// solve decides which values are made canonical, in the order of their
// instructions.
func (f *floats) solve() []canonical {
	f.spread(func(n *node) bool { return n.moved }, func(n *node) { n.moved = true }, func(l *floatLocal) *bool { return &l.moved })
	f.spreadOpen()
	for i := range f.nodes {
		n := &f.nodes[i]
		n.split = n.open && n.moved
	}
	for i := range f.locals {
		f.locals[i].decide(f.nodes)
	}
	f.spreadOpen()
	var at []canonical
	for i := 1; i < len(f.nodes); i++ {
		if n := &f.nodes[i]; n.open && f.seen(n) {
			at = append(at, canonical{n.at, n.kind})
		}
	}
	return at
}

// spreadOpen finds which values and locals are open.
func (f *floats) spreadOpen() {
	for i := range f.nodes {
		f.nodes[i].open = f.nodes[i].made
	}
	for i := range f.locals {
		f.locals[i].open = false
	}
	f.spread(func(n *node) bool { return n.open }, func(n *node) { n.open = true }, func(l *floatLocal) *bool { return &l.open })
}

// spread carries a property from the values that have it to those that they
// become, through locals that are not clean and selects that are not split.
func (f *floats) spread(has func(*node) bool, give func(*node), ofLocal func(*floatLocal) *bool) {
	var todo []int32
	mark := func(i int32) {
		if !has(&f.nodes[i]) {
			give(&f.nodes[i])
			todo = append(todo, i)
		}
	}
	fill := func(l *floatLocal) {
		for _, get := range l.gets {
			mark(get)
		}
	}
	for i := range f.nodes {
		if has(&f.nodes[i]) {
			todo = append(todo, int32(i))
		}
	}
	for i := range f.locals {
		if l := &f.locals[i]; *ofLocal(l) {
			fill(l)
		}
	}
	for len(todo) > 0 {
		n := f.nodes[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		switch {
		case n.use == chosen && !f.nodes[n.target].split:
			mark(n.target)
		case n.use == setsLocal:
			if l := &f.locals[n.target]; !l.clean && !*ofLocal(l) {
				*ofLocal(l) = true
				fill(l)
			}
		}
	}
}

// seen tells whether the bits of a value are.
func (f *floats) seen(n *node) bool {
	return n.use == escapes || n.use == setsLocal && f.locals[n.target].clean || n.use == chosen && f.nodes[n.target].split
}

// decide makes a local clean where it must be, or where that is the cheaper.
func (l *floatLocal) decide(nodes []node) {
	if !l.open || l.moved {
		l.clean = l.open
		return
	}
	var sets, gets int64
	for _, i := range l.sets {
		if nodes[i].open {
			sets += int64(nodes[i].weight)
		}
	}
	for _, i := range l.gets {
		if nodes[i].use == escapes {
			gets += int64(nodes[i].weight)
		}
	}
	l.clean = gets > 0 && sets <= gets
}
