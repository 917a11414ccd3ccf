package instrument

import "fmt"

// instr is one instruction and where its bytes are.
type instr struct {
	op       byte
	sub      uint32 // behind a prefix
	imm      uint32 // first index, where it has one
	from, to int    // in the function's code
}

// function rewrites one body. It is read twice: once for what each stretch
// costs, once to write it.
type function struct {
	module *module
	index  int // among all functions, imports included
	body   body
	typ    funcType
	weight int32 // on the stack; 0 for a leaf
	cost   []int64
	out    writer

	firstLocal uint32 // of those that are added
	added      []byte // their types
}

func newFunction(m *module, i int) *function {
	f := &function{module: m, index: len(m.imports) + i, body: m.bodies[i], typ: m.types[m.funcs[i]]}
	locals := uint32(len(f.typ.params))
	for _, run := range f.body.locals {
		locals += run.count
	}
	f.firstLocal = locals
	return f
}

// local returns the index of an added local of a type, one for each type.
func (f *function) local(typ byte) uint32 {
	for i, t := range f.added {
		if t == typ {
			return f.firstLocal + uint32(i)
		}
	}
	f.added = append(f.added, typ)
	return f.firstLocal + uint32(len(f.added)-1)
}

// next reads one instruction and refuses what may not be.
func (f *function) next(r *reader) instr {
	in := instr{from: r.at}
	in.op = r.byte()
	kind := core(in.op)
	switch in.op {
	case 0xfc:
		in.sub = r.u32()
		kind = prefixed(in.sub)
	case 0xfd:
		in.sub = r.u32()
		kind = vector(in.sub)
	}
	if kind == bad || forbidden(in) {
		r.at = in.from
		r.fail(Forbidden, "instruction "+spell(in))
	}
	skip(r, kind, &in)
	in.to = r.at
	return in
}

// forbidden tells what decodes and still may not be: what changes tables or
// makes references, which could not be saved.
func forbidden(in instr) bool {
	switch in.op {
	case 0x26, 0xd2:
		return true
	case 0xfc:
		return in.sub == 9 || in.sub >= 12 && in.sub != 16
	}
	return false
}

func spell(in instr) string {
	op := uint32(in.op)
	if in.op == 0xfc {
		op = 0xfc00 | in.sub
	}
	if name, ok := names[op]; ok {
		return name
	}
	if in.op == 0xfd || in.op == 0xfc {
		return fmt.Sprintf("%#x %d", in.op, in.sub)
	}
	return fmt.Sprintf("%#x", in.op)
}

func skip(r *reader, kind immediates, in *instr) {
	switch kind {
	case index:
		in.imm = r.u32()
	case twoIndex:
		in.imm = r.u32()
		r.u32()
	case memarg:
		r.u32()
		r.u32()
	case memargLane:
		r.u32()
		r.u32()
		r.byte()
	case blockType:
		r.signed(5)
	case brTable:
		for range r.count(maxBrTable, "labels of a br_table") + 1 {
			r.u32()
		}
	case i32Const:
		r.signed(5)
	case i64Const:
		r.signed(10)
	case fourBytes:
		r.bytes(4)
	case eightBytes:
		r.bytes(8)
	case sixteenBytes:
		r.bytes(16)
	case oneByte:
		r.byte()
	case valueTypes:
		readValueTypes(r, 1, "types of a select")
	}
}

// measure finds the cost of each stretch, the function's own first and then
// that of each loop in the order they begin, and the weight on the stack.
func (f *function) measure() {
	r := *f.body.code
	f.cost = []int64{0}
	stretch := []int{0} // the one that each open block belongs to
	calls := false
	for {
		in := f.next(&r)
		own := stretch[len(stretch)-1]
		f.cost[own] += price(in)
		switch in.op {
		case 0x02, 0x04:
			stretch = append(stretch, own)
		case 0x03:
			f.cost = append(f.cost, 0)
			stretch = append(stretch, len(f.cost)-1)
		case 0x0b:
			stretch = stretch[:len(stretch)-1]
		case 0x10:
			calls = calls || int(in.imm) >= len(f.module.imports)
		case 0x11:
			calls = true
		}
		if len(stretch) > maxNesting {
			r.fail(TooMany, "nested blocks")
		}
		if len(stretch) == 0 {
			break
		}
	}
	if r.more() {
		r.fail(Malformed, "code after the end of a function")
	}
	f.cost[0] += priceLocal * int64(f.firstLocal)
	if calls {
		f.weight = int32(1 + f.firstLocal/localsPerWeight)
	}
}

// rewrite returns the new body, its size in front.
func (f *function) rewrite() []byte {
	f.measure()
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
	return sized.buf
}

// code writes the instructions with what is added between them.
func (f *function) code() {
	r := *f.body.code
	f.charge(f.cost[0])
	f.enter()
	depth, loops := 0, 0 // open blocks of the function itself
	last := instr{op: 0x0b}
	for in := f.next(&r); ; in = f.next(&r) {
		f.before(in, last)
		if in.op == 0x0f && f.weight > 0 { // return leaves through the end
			f.out.byte(0x0c)
			f.out.u32(uint32(depth))
		} else {
			f.out.bytes(r.data[in.from:in.to])
		}
		switch in.op {
		case 0x02, 0x04:
			depth++
		case 0x03:
			depth++
			loops++
			f.charge(f.cost[loops])
		case 0x0b:
			if depth--; depth < 0 {
				f.leave()
				return
			}
		}
		if kind := produces(in); kind != noFloat {
			ahead := r
			if !hides(kind, f.next(&ahead)) {
				f.canonical(kind)
			}
		}
		last = in
	}
}

// before writes what must stand before an instruction.
func (f *function) before(in, last instr) {
	switch {
	case (in.op == 0x04 || in.op == 0x0d) && !barrierFree(last):
		f.out.bytes([]byte{0x41, 0, 0x47}) // i32.const 0; i32.ne
	case in.op == 0x40:
		f.chargePages()
	case in.op == 0xfc && (in.sub == 8 || in.sub == 10 || in.sub == 11):
		f.chargeBytes()
	}
}

// enter weighs on the stack, and opens the block that every way out ends.
func (f *function) enter() {
	if f.weight == 0 {
		return
	}
	w := &f.out
	w.global(0x23, f.module.stackGlobal())
	w.byte(0x41)
	w.s64(int64(f.weight))
	w.byte(0x6b) // i32.sub
	w.local(0x22, f.local(typeI32))
	w.global(0x24, f.module.stackGlobal())
	w.local(0x20, f.local(typeI32))
	w.bytes([]byte{0x41, 0, 0x48, 0x04, 0x40, 0x00, 0x0b}) // i32.const 0; i32.lt_s; if; unreachable; end
	w.byte(0x02)
	f.module.blockType(w, f.typ.results)
}

// leave takes the weight back. The function's own end has been written as that
// of the block.
func (f *function) leave() {
	if f.weight == 0 {
		return
	}
	w := &f.out
	w.global(0x23, f.module.stackGlobal())
	w.byte(0x41)
	w.s64(int64(f.weight))
	w.byte(0x6a) // i32.add
	w.global(0x24, f.module.stackGlobal())
	w.byte(0x0b)
}

// charge takes a cost from the gas and traps when it is used up.
func (f *function) charge(cost int64) {
	if cost == 0 {
		return
	}
	w := &f.out
	w.global(0x23, f.module.gasGlobal())
	w.byte(0x42)
	w.s64(cost)
	f.take()
}

// chargeBytes takes an eighth of the i32 on top of the stack, a length in bytes,
// from the gas; the i32 stays.
func (f *function) chargeBytes() {
	w := &f.out
	w.local(0x22, f.local(typeI32))
	w.global(0x23, f.module.gasGlobal())
	w.local(0x20, f.local(typeI32))
	w.bytes([]byte{0xad, 0x42, bulkShift, 0x88}) // i64.extend_i32_u; i64.const; i64.shr_u
	f.take()
}

// chargePages takes the price of the pages on top of the stack from the gas; the
// i32 stays. More pages than there can be are refused by memory.grow and cost
// nothing.
func (f *function) chargePages() {
	w := &f.out
	n := f.local(typeI32)
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

// take ends a charge: gas and cost are on the stack.
func (f *function) take() {
	w := &f.out
	w.byte(0x7d) // i64.sub
	w.local(0x22, f.local(typeI64))
	w.global(0x24, f.module.gasGlobal())
	w.local(0x20, f.local(typeI64))
	w.bytes([]byte{0x42, 0, 0x53, 0x04, 0x40, 0x00, 0x0b}) // i64.const 0; i64.lt_s; if; unreachable; end
}

// canonical makes a NaN on top of the stack the canonical one.
func (f *function) canonical(kind floatKind) {
	w := &f.out
	typ := map[floatKind]byte{f32: typeF32, f64: typeF64, f32x4: typeV128, f64x2: typeV128}[kind]
	t := f.local(typ)
	w.local(0x22, t)
	w.bytes(canonicalNaN[kind])
	w.local(0x20, t)
	w.local(0x20, t)
	w.bytes(equalAndSelect[kind])
}

var canonicalNaN = map[floatKind][]byte{
	f32:   {0x43, 0, 0, 0xc0, 0x7f},
	f64:   {0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f},
	f32x4: {0xfd, 12, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f},
	f64x2: {0xfd, 12, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f},
}

var equalAndSelect = map[floatKind][]byte{
	f32:   {0x5b, 0x1b},
	f64:   {0x61, 0x1b},
	f32x4: {0xfd, 65, 0xfd, 82},
	f64x2: {0xfd, 71, 0xfd, 82},
}
