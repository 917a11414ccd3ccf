package differential

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// A module of the generator has a memory of at most maxPages pages, which it
// never tries to exceed by little, a table of functions, globals of all types and
// functions. "f0" and on take nothing and give an i64 or nothing; "dump" writes the
// globals into the memory, so that the memory shows all.
const (
	maxPages = 3
	table    = 8
	dataLen  = 48 // bytes of each data segment; the second is passive
	dumpAt   = 64
)

// signature of a function.
type signature struct{ params, results []byte }

// generator makes one module. A tame one ends by itself and shows the bits of no
// NaN that it computed, so that what it does is defined without instrumentation.
type generator struct {
	*rand.Rand
	tame    bool
	types   []signature
	funcs   []int  // types
	roots   int    // functions that are exported; they come first
	globals []byte // types
	fuel    int    // global, of a tame module
	denan   map[byte]int

	// Of the function that is made.
	at     int
	code   []byte
	locals []byte
	labels []signature // what a branch to each takes, in params; innermost last
	left   int         // instructions that may still be made, about
}

var numbers = []byte{i32, i64, f32, f64, v128}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) types4(most int, list []byte) (types []byte) {
	for range g.IntN(most + 1) {
		types = append(types, pick(g, list))
	}
	return types
}

// generate gives the module of a seed, and the types of the functions that it
// exports: 0, or 1 for one that gives an i64.
func generate(seed uint64, tame bool) (wasm []byte, roots []int) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 77)), tame: tame, denan: make(map[byte]int)}
	g.types = []signature{{}, {nil, []byte{i64}}}
	for range 2 + g.IntN(4) {
		g.types = append(g.types, signature{g.types4(3, numbers), g.types4(2, numbers)})
	}
	g.roots = 1 + g.IntN(3)
	for range g.roots {
		g.funcs = append(g.funcs, g.IntN(2))
	}
	for range 1 + g.IntN(5) {
		g.funcs = append(g.funcs, g.IntN(len(g.types)))
	}
	for _, t := range []byte{i32, i64, f32, f64} { // v128 may not be a mutable global
		for range 1 + g.IntN(2) {
			g.globals = append(g.globals, t)
		}
	}
	var bodies [][]byte
	if tame {
		g.fuel = len(g.globals)
		g.globals = append(g.globals, i32)
	}
	for i := range g.funcs {
		bodies = append(bodies, g.function(i))
	}
	return g.module(bodies), g.funcs[:g.roots]
}

func (g *generator) emit(b ...byte) { g.code = append(g.code, b...); g.left-- }
func (g *generator) u32(n int)      { g.code = binary.AppendUvarint(g.code, uint64(n)) }
func (g *generator) op(c byte, n int) {
	g.emit(c)
	g.u32(n)
}

func (g *generator) function(i int) []byte {
	g.at, g.code, g.labels = i, nil, nil
	s := g.types[g.funcs[i]]
	own := g.types4(6, numbers)
	g.locals = append(append([]byte{}, s.params...), own...)
	g.left = 20 + g.IntN(200)
	g.burn()
	g.labels = append(g.labels, signature{params: s.results})
	g.body(s.results, 0)
	var b []byte
	b = binary.AppendUvarint(b, uint64(len(own)))
	for _, t := range own {
		b = append(b, 1, t)
	}
	b = append(append(b, g.code...), 0x0b)
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// burn has a tame function or loop end after many turns.
func (g *generator) burn() {
	if !g.tame {
		return
	}
	g.op(0x23, g.fuel)
	g.emit(0x41, 1, 0x6b)
	g.op(0x24, g.fuel)
	g.op(0x23, g.fuel)
	g.emit(0x41, 0, 0x48, 0x04, 0x40, 0x00, 0x0b) // i32.const 0; i32.lt_s; if; unreachable; end
}

// body makes statements, and then the values that a block gives.
func (g *generator) body(results []byte, depth int) {
	for n := g.IntN(5); n >= 0 && g.left > 0; n-- {
		g.statement(depth)
	}
	for _, t := range results {
		g.value(t, depth+1)
	}
}

func (g *generator) statement(depth int) {
	switch n := g.IntN(26); {
	case n < 6 && len(g.locals) > 0:
		l := g.IntN(len(g.locals))
		g.value(g.locals[l], depth)
		g.op(0x21, l)
	case n < 9:
		l := g.IntN(len(g.globals))
		if g.tame && l == g.fuel {
			return
		}
		g.value(g.globals[l], depth)
		g.op(0x24, l)
	case n < 13:
		g.store(depth)
	case n < 17 && depth < 5:
		g.block(nil, depth)
	case n < 19:
		g.branch(depth)
	case n < 21:
		g.call(nil, depth)
	case n < 22:
		g.bulk(depth)
	case n < 23:
		g.value(pick(g, numbers), depth)
		g.emit(0x1a)
	case n < 24 && g.one(2):
		g.grow()
		g.emit(0x1a)
	case g.one(30):
		g.emit(0x00)
	default:
		g.emit(0x01)
	}
}

// value makes code that gives a value.
func (g *generator) value(t byte, depth int) {
	if g.left <= 0 || depth > 8 {
		g.leaf(t)
		return
	}
	switch n := g.IntN(30); {
	case n < 5:
		g.leaf(t)
	case n < 8 && depth < 6:
		g.block([]byte{t}, depth)
	case n < 9 && depth < 6:
		g.call([]byte{t}, depth)
	case n < 11:
		g.value(t, depth+1)
		g.value(t, depth+1)
		g.value(i32, depth+1)
		if g.one(2) || t == v128 {
			g.emit(0x1c, 1, t)
		} else {
			g.emit(0x1b)
		}
	case n < 12 && t == i32:
		if g.one(2) {
			g.emit(0x3f, 0)
		} else {
			g.grow()
		}
	case n < 13 && len(g.locals) > 0:
		l := g.IntN(len(g.locals))
		if g.locals[l] != t {
			g.leaf(t)
			return
		}
		g.value(t, depth+1)
		g.op(0x22, l)
	case n < 14 && len(g.labels) > 0: // with a value on its way through
		g.value(t, depth+1)
		g.conditional(t, depth)
	case n < 15 && t == v128:
		g.value(v128, depth+1)
		g.value(v128, depth+1)
		g.emit(0xfd, 13)
		for range 16 {
			g.emit(byte(g.IntN(32)))
		}
	default:
		g.operate(pick(g, ops[t]), depth)
	}
}

func (g *generator) operate(o op, depth int) {
	for i, p := range o.params {
		if o.loads && i == 0 {
			g.address(depth + 1)
			continue
		}
		g.value(p, depth+1)
	}
	g.emit(o.code...)
	if o.loads {
		g.u32(g.IntN(int(o.align) + 1))
		g.u32(g.offset())
	}
	if o.lanes > 0 {
		g.emit(byte(g.IntN(int(o.lanes))))
	}
	if g.tame && o.rounds != 0 {
		g.tameNaN(o.rounds)
	}
}

// tameNaN makes zero of a NaN.
func (g *generator) tameNaN(kind byte) {
	types := map[byte]byte{f32: f32, f64: f64, f32 | simd: v128, f64 | simd: v128}
	t := types[kind]
	l, ok := -1, false
	for i := len(g.locals) - 1; i >= 0 && !ok; i-- {
		if g.locals[i] == t {
			l, ok = i, true
		}
	}
	if !ok { // no local to hold it: the value is as good as any other
		g.emit(0x1a)
		g.constant(t)
		return
	}
	g.op(0x22, l)
	switch kind {
	case f32, f64:
		g.constantOf(t, 0)
		g.op(0x20, l)
		g.op(0x20, l)
		g.emit(map[byte]byte{f32: 0x5b, f64: 0x61}[t], 0x1b) // eq; select
	default:
		g.op(0x20, l)
		g.op(0x20, l)
		g.emit(0xfd, map[byte]byte{f32 | simd: 0x41, f64 | simd: 0x47}[kind])
		g.emit(0xfd, 0x4e)
	}
	g.op(0x22, l)
}

func (g *generator) leaf(t byte) {
	switch g.IntN(3) {
	case 0:
		for range 3 {
			if len(g.locals) > 0 {
				if l := g.IntN(len(g.locals)); g.locals[l] == t {
					g.op(0x20, l)
					return
				}
			}
		}
	case 1:
		for range 3 {
			if l := g.IntN(len(g.globals)); g.globals[l] == t && !(g.tame && l == g.fuel) {
				g.op(0x23, l)
				return
			}
		}
	}
	g.constant(t)
}

// bits of constants: those around which computing goes wrong, and random ones.
func (g *generator) bits() uint64 {
	if g.one(4) {
		return g.Uint64()
	}
	return pick(g, []uint64{
		0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 1 << 15, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, math.MaxUint64,
		math.Float64bits(1), math.Float64bits(-1), math.Float64bits(0.5), math.Float64bits(1e300), math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)),
		1 << 63, 0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0x7ffc0000deadbeef, math.Float64bits(2147483648), math.Float64bits(-9.3e18),
		uint64(math.Float32bits(1.5)), uint64(math.Float32bits(float32(math.Inf(1)))), 0x7fc00000, 0xffc00000, 0x7fa00001, 0x7fc0beef, uint64(math.Float32bits(3e9)), 1,
	})
}

func (g *generator) constant(t byte) { g.constantOf(t, g.bits()) }

func (g *generator) constantOf(t byte, bits uint64) {
	switch t {
	case i32:
		g.emit(0x41)
		g.code = appendSigned(g.code, int64(int32(bits)))
	case i64:
		g.emit(0x42)
		g.code = appendSigned(g.code, int64(bits))
	case f32:
		g.emit(0x43)
		g.code = binary.LittleEndian.AppendUint32(g.code, uint32(bits))
	case f64:
		g.emit(0x44)
		g.code = binary.LittleEndian.AppendUint64(g.code, bits)
	case v128:
		g.emit(0xfd, 12)
		g.code = binary.LittleEndian.AppendUint64(g.code, bits)
		g.code = binary.LittleEndian.AppendUint64(g.code, g.bits())
	}
}

func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// address is mostly inside of the memory.
func (g *generator) address(depth int) {
	g.value(i32, depth)
	if !g.one(40) {
		g.emit(0x41)
		g.code = appendSigned(g.code, 0xffff)
		g.emit(0x71) // i32.and
	}
}

func (g *generator) offset() int {
	if g.one(50) {
		return pick(g, []int{1<<16 - 4, 1 << 16, 1 << 20, 1<<32 - 1})
	}
	return g.IntN(16)
}

func (g *generator) store(depth int) {
	g.address(depth + 1)
	stores := []struct{ code, t, align byte }{
		{0x36, i32, 2}, {0x37, i64, 3}, {0x38, f32, 2}, {0x39, f64, 3}, {0x3a, i32, 0}, {0x3b, i32, 1}, {0x3c, i64, 0}, {0x3d, i64, 1}, {0x3e, i64, 2},
		{11, v128, 4}, {0x58, v128, 0}, {0x59, v128, 1}, {0x5a, v128, 2}, {0x5b, v128, 3},
	}
	s := pick(g, stores)
	g.value(s.t, depth+1)
	if s.t == v128 {
		g.emit(0xfd)
	}
	g.emit(s.code)
	g.u32(g.IntN(int(s.align) + 1))
	g.u32(g.offset())
	if s.t == v128 && s.code != 11 {
		g.emit(byte(g.IntN(16 >> s.align)))
	}
}

// block makes a block, loop or if that gives results. It may take values too.
func (g *generator) block(results []byte, depth int) {
	kind := byte(0x02 + g.IntN(3))
	var params []byte
	if g.one(4) {
		params = g.types4(2, numbers)
	}
	for _, p := range params {
		g.value(p, depth+1)
	}
	if kind == 0x04 {
		g.condition(depth + 1)
	}
	g.emit(kind)
	switch {
	case len(params) == 0 && len(results) == 0:
		g.emit(0x40)
	case len(params) == 0 && len(results) == 1:
		g.emit(results[0])
	default:
		g.code = appendSigned(g.code, int64(g.typeOf(signature{params, results})))
	}
	label := signature{params: results}
	if kind == 0x03 {
		label.params = params
	}
	g.labels = append(g.labels, label)
	arm := func() {
		for i := len(params) - 1; i >= 0; i-- {
			g.consume(params[i])
		}
		if kind == 0x03 {
			g.burn()
		}
		g.body(results, depth+1)
	}
	arm()
	if kind == 0x03 && g.one(2) { // another turn, sometimes
		for _, p := range params {
			g.value(p, depth+2)
		}
		g.condition(depth + 1)
		g.op(0x0d, 0)
		for range params {
			g.emit(0x1a)
		}
	}
	if kind == 0x04 && (g.one(2) || len(results) > 0 || len(params) > 0) {
		g.emit(0x05)
		arm()
	}
	g.emit(0x0b)
	g.labels = g.labels[:len(g.labels)-1]
}

// consume takes a value from the stack, into a local if there is one.
func (g *generator) consume(t byte) {
	for i, l := range g.locals {
		if l == t {
			g.op(0x21, i)
			return
		}
	}
	g.emit(0x1a)
}

func (g *generator) typeOf(s signature) int {
	for i, t := range g.types {
		if string(t.params) == string(s.params) && string(t.results) == string(s.results) {
			return i
		}
	}
	g.types = append(g.types, s)
	return len(g.types) - 1
}

// branch leaves the code around it, or may.
func (g *generator) branch(depth int) {
	n := g.IntN(len(g.labels))
	to := g.labels[len(g.labels)-1-n].params
	values := func() {
		for _, t := range to {
			g.value(t, depth+1)
		}
	}
	switch g.IntN(6) {
	case 0:
		values()
		g.op(0x0c, n)
	case 1:
		for _, t := range g.labels[0].params {
			g.value(t, depth+1)
		}
		g.emit(0x0f)
	case 2:
		values()
		g.value(i32, depth+1)
		list := []int{n}
		for i := range g.labels {
			if string(g.labels[len(g.labels)-1-i].params) == string(to) {
				list = append(list, i)
			}
		}
		g.emit(0x0e)
		labels := g.IntN(5)
		g.u32(labels)
		for range labels + 1 {
			g.u32(pick(g, list))
		}
	default:
		values()
		g.condition(depth + 1)
		g.op(0x0d, n)
		for range to {
			g.emit(0x1a)
		}
	}
}

// condition makes what a branch asks: often a comparison of a small constant with
// a result, which compilers join with the branch.
func (g *generator) condition(depth int) {
	if !g.one(3) {
		g.value(i32, depth)
		return
	}
	t, compare, compute := byte(i32), byte(0x46), byte(0x6a)
	if g.one(2) {
		t, compare, compute = i64, 0x51, 0x7c
	}
	small := func() { g.constantOf(t, uint64(g.IntN(3))) }
	result := func() {
		g.value(t, depth+1)
		g.value(t, depth+1)
		g.emit(compute + pick(g, []byte{0, 1, 2, 7, 8, 9, 10, 11, 12, 13, 14})) // all but division
	}
	if g.one(2) {
		small()
		result()
	} else {
		result()
		small()
	}
	g.emit(compare + byte(g.IntN(10)))
}

// conditional is a br_if to a label that takes the value that is on the stack.
func (g *generator) conditional(t byte, depth int) {
	for n := range g.labels {
		if string(g.labels[len(g.labels)-1-n].params) == string([]byte{t}) {
			g.condition(depth + 1)
			g.op(0x0d, n)
			return
		}
	}
}

// call calls a function, directly or through the table, and leaves one result
// of the wanted type or none.
func (g *generator) call(want []byte, depth int) {
	f := g.IntN(len(g.funcs))
	typ := g.funcs[f]
	s := g.types[typ]
	at := -1
	for i, t := range s.results {
		if len(want) > 0 && t == want[0] {
			at = i
		}
	}
	if len(want) > 0 && at < 0 {
		g.leaf(want[0])
		return
	}
	for _, p := range s.params {
		g.value(p, depth+1)
	}
	if g.one(3) {
		g.value(i32, depth+1)
		if !g.one(20) {
			g.emit(0x41, table-1, 0x71)
		}
		g.op(0x11, typ)
		g.emit(0)
	} else {
		g.op(0x10, f)
	}
	for i := len(s.results) - 1; i >= 0; i-- {
		if i != at {
			if i > at {
				g.consume(s.results[i])
				continue
			}
			// A result below the wanted one: the wanted one steps aside.
			g.below(want[0], s.results[i])
		}
	}
}

// below drops the value under the top of the stack.
func (g *generator) below(top, under byte) {
	g.emit(0x02)
	g.code = appendSigned(g.code, int64(g.typeOf(signature{[]byte{under, top}, []byte{top}})))
	g.emit(0x0c, 0, 0x0b) // br 0 takes the top alone
}

// grow gives the result of growing the memory by one page, as far as the module
// may, or by far more than it may.
func (g *generator) grow() {
	if g.one(4) {
		g.emit(0x41)
		g.code = appendSigned(g.code, pick(g, []int64{1 << 15, 1 << 16, -1, 70_000}))
		g.emit(0x40, 0)
		return
	}
	g.emit(0x3f, 0, 0x41, maxPages, 0x48, 0x40, 0) // memory.size; const; i32.lt_s; memory.grow
}

func (g *generator) bulk(depth int) {
	g.address(depth + 1)
	switch g.IntN(4) {
	case 0:
		g.address(depth + 1)
		g.length(0xfff)
		g.emit(0xfc, 10, 0, 0)
	case 1:
		g.value(i32, depth+1)
		g.length(0xfff)
		g.emit(0xfc, 11, 0)
	case 2:
		g.value(i32, depth+1)
		g.emit(0x41, 31, 0x71)
		g.length(15)
		g.emit(0xfc, 8, byte(g.IntN(2)), 0)
	case 3:
		g.emit(0x1a, 0xfc, 9, byte(g.IntN(2)))
	}
}

func (g *generator) length(mask int64) {
	g.value(i32, 8)
	if !g.one(20) {
		g.emit(0x41)
		g.code = appendSigned(g.code, mask)
		g.emit(0x71)
	}
}
