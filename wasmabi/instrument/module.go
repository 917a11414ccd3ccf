package instrument

import (
	"fmt"
	"math"
)

// Value types.
const (
	typeI32  = 0x7f
	typeI64  = 0x7e
	typeF32  = 0x7d
	typeF64  = 0x7c
	typeV128 = 0x7b
	typeFunc = 0x70
	typeExt  = 0x6f
)

// Sections.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

// module is a decoded module. Sections that are not rewritten are kept as bytes.
type module struct {
	types        []funcType
	imports      []imported
	funcs        []uint32 // type of each defined function
	typed        int      // parameters and results of all types
	codeBase     int      // offset of the content of the code section
	tableMin     []uint32
	tableType    []byte
	entries      uint64 // of all tables
	memory       *memoryType
	globals      []global
	exports      []export
	start        int // -1 for none
	startAt      int // its offset
	bodies       []body
	elements     [][]uint32 // functions that segments put into tables
	elementCount int        // in all, with nulls
	raw          [secDataCount + 1][]byte
	names        map[int]string
	nameSection  *reader // the last, behind its name
	dataCount    int     // data segments, as the section before the code says
	dataSegments int
	passive      map[uint32]bool   // data segments that code may copy from
	locals       int               // of all functions
	dropped      map[uint32]uint32 // the global that tells whether code dropped a data segment
	added        []added
	met, maxMet  int // values that meet, see limits.go
	live, pairs  quota
	moved        quota // operands that blocks and calls take and give
	looped       quota
	machine      quota

	// Room of the flow through the last function, for the next; both are empty.
	stack  []value
	frames []frame
}

type funcType struct{ params, results []byte }

type imported struct {
	module, name string
	typ          uint32
	offset       int
}

type memoryType struct {
	min, max uint32
	bounded  bool
	offset   int
}

type global struct {
	typ     byte
	mutable bool
	init    []byte // the expression with its end
	value   uint32 // of an i32 constant
	known   bool
	offset  int
}

type export struct {
	name   string
	kind   byte // 0 func, 1 table, 2 memory, 3 global
	index  uint32
	offset int
}

type body struct {
	locals []localRun
	code   *reader // instructions with the last end
}

type localRun struct {
	count uint32
	typ   byte
}

// decode reads a module, all of it.
func decode(wasm []byte) *module {
	r := &reader{data: wasm}
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		r.fail(NotWasm, fileAdvice(wasm))
	}
	if string(wasm[4:8]) != "\x01\x00\x00\x00" {
		r.fail(NotWasm, fmt.Sprintf("version %x is not that of a core module; components are not guests: build for wasm32-unknown-unknown or wasm32-wasip1, not for wasip2", wasm[4:8]))
	}
	r.at = 8
	m := &module{
		maxMet:  min(minMeetings+len(wasm)/bytesPerMeetings, maxMeetings),
		live:    quota{what: "values that live across branches", max: min(minLive+livePerByte*len(wasm), maxLive)},
		pairs:   quota{what: "pairs of branches in functions", max: min(minPairs+pairsPerByte*len(wasm), maxPairs)},
		moved:   quota{what: "operands of blocks and calls", max: min(minOperands+len(wasm)/bytesPerOperands, maxOperands)},
		looped:  quota{what: "loops in loops", max: min(minLooped+len(wasm)/bytesPerLooped, maxLooped)},
		machine: quota{what: "machine code", max: min(minMachine+machinePerByte*len(wasm), maxMachine)},
		start:   -1, passive: make(map[uint32]bool),
	}
	last := 0
	for r.more() {
		offset := r.at
		id := int(r.byte())
		s := r.part(r.u32())
		if id == secCustom {
			m.custom(s)
			continue
		}
		if id > secDataCount {
			r.at = offset
			if id == secTag {
				r.fail(Forbidden, "section of tags: a guest has no exceptions, build with -fno-exceptions (C++), panic = \"abort\" (Rust)")
			}
			r.fail(Malformed, fmt.Sprintf("unknown section %d", id))
		}
		if place(id) <= last {
			r.at = offset
			r.fail(Malformed, "section out of order")
		}
		last = place(id)
		m.raw[id] = s.data
		m.section(id, s)
		if s.more() {
			s.fail(Malformed, "section has bytes left over")
		}
	}
	if len(m.funcs) != len(m.bodies) {
		r.fail(Malformed, "functions and bodies differ in number")
	}
	m.readNames()
	return m
}

// place orders sections: the data count stands before the code.
func place(id int) int {
	switch {
	case id == secDataCount:
		return 2*secElement + 1
	default:
		return 2 * id
	}
}

func (m *module) section(id int, r *reader) {
	switch id {
	case secType:
		for range r.count(maxTypes, "types") {
			m.types = append(m.types, m.readType(r))
		}
	case secImport:
		for range r.count(maxImports, "imports") {
			m.imports = append(m.imports, m.readImport(r))
		}
	case secFunction:
		for range r.count(maxFuncs, "functions") {
			m.funcs = append(m.funcs, m.typeIndex(r))
		}
	case secTable:
		for range r.count(maxTables, "tables") {
			m.readTable(r)
		}
	case secMemory:
		m.readMemory(r)
	case secGlobal:
		for range r.count(maxGlobals, "globals") {
			m.globals = append(m.globals, m.readGlobal(r))
		}
	case secExport:
		for range r.count(maxExports, "exports") {
			e := export{offset: r.base + r.at}
			e.name, e.kind, e.index = r.name(), r.byte(), r.u32()
			m.exports = append(m.exports, e)
		}
	case secStart:
		m.startAt = r.base + r.at
		m.start = int(r.u32())
	case secElement:
		for range r.count(maxSegments, "element segments") {
			m.readElements(r)
		}
	case secCode:
		m.codeBase = r.base
		for range r.count(maxFuncs, "function bodies") {
			r.fn = len(m.imports) + len(m.bodies) + 1
			m.bodies = append(m.bodies, readBody(r))
		}
		r.fn = 0
	case secData:
		m.dataSegments = r.count(maxSegments, "data segments")
		for i := range m.dataSegments {
			m.readData(r, i)
		}
	case secDataCount:
		m.dataCount = int(r.u32())
	}
}

func readValueTypes(r *reader, limit int, what string) []byte {
	n := r.count(limit, what)
	types := r.bytes(uint32(n))
	for _, t := range types {
		if !isValueType(t) {
			r.fail(Forbidden, fmt.Sprintf("value type %#x", t))
		}
	}
	return types
}

func isValueType(t byte) bool {
	return t >= typeV128 && t <= typeI32 || t == typeFunc || t == typeExt
}

func (m *module) readType(r *reader) funcType {
	if form := r.byte(); form != 0x60 {
		r.fail(Forbidden, fmt.Sprintf("type of form %#x: only functions", form))
	}
	t := funcType{readValueTypes(r, maxParams, "parameters of a type"), readValueTypes(r, maxResults, "results of a type")}
	if m.typed += len(t.params) + len(t.results); m.typed > maxTyped {
		r.fail(TooMany, "parameters and results of all types")
	}
	return t
}

func (m *module) typeIndex(r *reader) uint32 {
	t := r.u32()
	if int(t) >= len(m.types) {
		r.fail(Malformed, "type does not exist")
	}
	return t
}

func (m *module) readImport(r *reader) imported {
	i := imported{offset: r.base + r.at}
	i.module, i.name = r.name(), r.name()
	if kind := r.byte(); kind != 0 {
		what := map[byte]string{1: "table", 2: "memory", 3: "global", 4: "tag"}[kind]
		r.fail(Forbidden, fmt.Sprintf(`import of %s "%s"."%s": a guest imports functions only%s`, what, quoted(i.module), quoted(i.name), kindAdvice(kind)))
	}
	i.typ = m.typeIndex(r)
	return i
}

func (m *module) readTable(r *reader) {
	t := r.byte()
	if t != typeFunc && t != typeExt {
		r.fail(Forbidden, fmt.Sprintf("table of type %#x", t))
	}
	m.tableType = append(m.tableType, t)
	flags := r.byte()
	if flags > 1 {
		r.fail(Forbidden, "shared or 64-bit table")
	}
	n := r.u32()
	if m.entries += uint64(n); m.entries > maxTable {
		r.fail(TooMany, "entries of all tables")
	}
	if flags == 1 {
		r.u32()
	}
	m.tableMin = append(m.tableMin, n)
}

func (m *module) readMemory(r *reader) {
	offset := r.base + r.at
	n := r.count(2, "memories: a guest has one")
	if n > 1 {
		r.fail(Forbidden, "more than one memory")
	}
	if n == 0 {
		return
	}
	flags := r.byte()
	if flags > 1 {
		r.fail(Forbidden, "shared or 64-bit memory")
	}
	t := memoryType{min: r.u32(), max: math.MaxUint32, bounded: flags == 1, offset: offset}
	if t.bounded {
		t.max = r.u32()
	}
	m.memory = &t
}

func (m *module) readGlobal(r *reader) global {
	g := global{offset: r.base + r.at}
	g.typ = r.byte()
	if !isValueType(g.typ) {
		r.fail(Forbidden, fmt.Sprintf("global of type %#x", g.typ))
	}
	mutable := r.byte()
	if mutable > 1 {
		r.fail(Malformed, "mutability of a global")
	}
	g.mutable = mutable == 1
	if g.mutable && (g.typ == typeV128 || g.typ == typeFunc || g.typ == typeExt) {
		r.fail(Forbidden, "mutable global of a vector or reference type: its value cannot be saved")
	}
	from := r.at
	g.value, g.known = m.constant(r)
	g.init = r.data[from:r.at]
	return g
}

// constant reads a constant expression. It evaluates those of i32.
func (m *module) constant(r *reader) (value uint32, known bool) {
	var stack []uint32
	known = true
	pop := func() uint32 {
		if len(stack) == 0 {
			known = false
			return 0
		}
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		return v
	}
	for {
		switch op := r.byte(); op {
		case 0x0b:
			return pop(), known
		case 0x41:
			stack = append(stack, uint32(r.s32()))
		case 0x42:
			r.signed(10)
			known = false
		case 0x43:
			r.bytes(4)
			known = false
		case 0x44:
			r.bytes(8)
			known = false
		case 0xfd:
			if r.u32() != 12 {
				r.fail(Forbidden, "instruction in a constant expression")
			}
			r.bytes(16)
			known = false
		case 0xd0:
			r.byte()
			known = false
		case 0xd2:
			r.u32()
			known = false
		case 0x23:
			i := r.u32()
			if int(i) >= len(m.globals) || m.globals[i].mutable {
				r.fail(Invalid, "constant expression reads a global that is not constant")
			}
			stack = append(stack, m.globals[i].value)
			known = known && m.globals[i].known
		case 0x6a, 0x6b, 0x6c:
			b, a := pop(), pop()
			stack = append(stack, map[byte]uint32{0x6a: a + b, 0x6b: a - b, 0x6c: a * b}[op])
		case 0x7c, 0x7d, 0x7e:
			known = false
		default:
			r.fail(Forbidden, fmt.Sprintf("instruction %#x in a constant expression", op))
		}
	}
}

func (m *module) readElements(r *reader) {
	flags := r.u32()
	if flags > 7 {
		r.fail(Malformed, "kind of element segment")
	}
	table, offset, active := uint32(0), uint32(0), flags&1 == 0
	if active {
		if flags&2 != 0 {
			table = r.u32()
		}
		var known bool
		if offset, known = m.constant(r); !known {
			r.fail(Invalid, "offset of an element segment is not an i32 constant")
		}
	}
	if flags&3 != 0 {
		r.byte() // kind or type
	}
	var list []uint32
	n := r.count(maxElements-m.elementCount, "elements of all segments")
	m.elementCount += n
	for range n {
		if flags&4 == 0 {
			list = append(list, r.u32())
			continue
		}
		if f, ok := elementExpr(r); ok {
			list = append(list, f)
		}
	}
	if active && (int(table) >= len(m.tableMin) || uint64(offset)+uint64(n) > uint64(m.tableMin[table])) {
		r.fail(OutOfBounds, "element segment does not fit its table")
	}
	m.elements = append(m.elements, list)
}

// elementExpr reads ref.func f or ref.null.
func elementExpr(r *reader) (f uint32, ok bool) {
	switch r.byte() {
	case 0xd2:
		f, ok = r.u32(), true
	case 0xd0:
		r.byte()
	default:
		r.fail(Forbidden, "element that is neither ref.func nor ref.null")
	}
	if r.byte() != 0x0b {
		r.fail(Malformed, "element expression does not end")
	}
	return f, ok
}

func (m *module) readData(r *reader, i int) {
	flags := r.u32()
	if flags > 2 {
		r.fail(Malformed, "kind of data segment")
	}
	if flags == 2 && r.u32() != 0 {
		r.fail(Forbidden, "more than one memory")
	}
	offset, known := uint32(0), true
	if flags != 1 {
		offset, known = m.constant(r)
	}
	n := r.u32()
	r.bytes(n)
	if flags == 1 {
		m.passive[uint32(i)] = true
		return
	}
	if !known {
		r.fail(Invalid, "offset of a data segment is not an i32 constant")
	}
	if m.memory == nil || uint64(offset)+uint64(n) > uint64(m.memory.min)<<16 {
		r.fail(OutOfBounds, "data segment does not fit the memory as it begins")
	}
}

func readBody(r *reader) body {
	size := r.u32()
	if size > maxBody {
		r.fail(TooMany, "bytes of a function")
	}
	code := r.part(size)
	var b body
	total := uint64(0)
	for range code.count(maxLocals, "runs of locals") {
		run := localRun{count: code.u32(), typ: code.byte()}
		if total += uint64(run.count); total > maxLocals {
			code.fail(TooMany, "locals of a function")
		}
		if !isValueType(run.typ) {
			code.fail(Forbidden, fmt.Sprintf("local of type %#x", run.typ))
		}
		b.locals = append(b.locals, run)
	}
	b.code = code
	return b
}

// custom keeps the names of functions, of the last section that has them, for messages and traps. Other custom
// sections go: they have no meaning here.
func (m *module) custom(r *reader) {
	if r.name() == "name" {
		m.nameSection = r
	}
}

// readNames reads what custom kept.
func (m *module) readNames() {
	r := m.nameSection
	if r == nil {
		return
	}
	defer func() {
		if _, broken := recover().(fault); broken {
			m.names = nil // names are a courtesy
		}
	}()
	names := make(map[int]string)
	for r.more() {
		id := r.byte()
		s := r.part(r.u32())
		if id != 1 {
			continue
		}
		for range s.count(maxFuncs, "names") {
			f := s.u32()
			if name := s.name(); len(name) <= maxNameBytes {
				names[int(f)] = name
			}
		}
	}
	m.names = names
}

// typeOf is the type of a function by its index.
func (m *module) typeOf(f int) (funcType, bool) {
	switch {
	case f < len(m.imports):
		return m.types[m.imports[f].typ], true
	case f < len(m.imports)+len(m.funcs):
		return m.types[m.funcs[f-len(m.imports)]], true
	}
	return funcType{}, false
}

// quota is what functions may use of something in all.
type quota struct {
	what      string
	used, max int
}

func (q *quota) take(r *reader, n int) {
	if q.used += n; q.used > q.max {
		r.fail(TooMany, q.what)
	}
}
