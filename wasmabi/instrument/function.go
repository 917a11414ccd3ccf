package instrument

import "fmt"

// instr is one instruction and where its bytes are.
type instr struct {
	op       byte
	sub      uint32 // behind a prefix
	imm      uint32 // first index, where it has one; of a br_table the default
	second   uint32 // index
	wide     int64  // type of a block or of a select, value of an integer constant
	list     int    // where the labels of a br_table begin
	count    int    // and how many, the default not among them
	from, to int    // in the function's code
}

// labels reads those of a br_table.
type labels struct {
	r    reader
	left int
}

func (in *instr) labels(r *reader) labels {
	l := labels{r: *r, left: in.count}
	l.r.at = in.list
	return l
}

func (l *labels) next() uint32 {
	l.left--
	return l.r.u32()
}

// function rewrites one body. It is read twice: by analyse, which finds what
// must be known beforehand, and by rewrite.
type function struct {
	module *module
	index  int // among all functions, imports included
	body   body
	typ    funcType

	// Found by analyse.
	count     int    // instructions read so far
	from      int    // where the last of them begins
	floats    floats // only while it is analysed
	canonical []canonical
	edits     []edit
	tables    [][]byte // those of branches that change
	stretches []stretch
	loops     []loop // in the order they begin; each has the stretch of its ordinal + 1
	calls     []call
	indirect  []uint32 // types of indirect calls
	slots     slots
	drops     []uint32 // data segments
	ranges    int      // operations that pay by length
	branches  int      // beginnings of stretches
	live      int      // values across them
	machine   int      // bytes of machine code
	nesting   int      // blocks, at most
	labels    int      // of the largest br_table
	weighs
	folded bool // callers pay

	out        writer
	scratch    []value
	at         int         // what was copied
	runs       []run       // nil where they are not wanted
	nans       []canonical // still to come
	firstLocal uint32      // of those that are added
	added      []byte      // their types
}

// stretch is code that is paid for at once: the function outside of its loops,
// or a loop outside of those in it.
type stretch struct{ cost int64 }

type loop struct {
	parent  int  // -1 for none
	calls   bool // anywhere in it
	again   bool // see turn; not where it takes operands
	opened  int32
	carried []carried
}

type call struct {
	stretch int32
	callee  uint32
}

func newFunction(m *module, i int) *function {
	f := &function{module: m, index: len(m.imports) + i, body: m.bodies[i], typ: m.types[m.funcs[i]]}
	locals := uint32(len(f.typ.params))
	for _, run := range f.body.locals {
		locals += run.count
	}
	f.firstLocal = locals
	if m.locals += int(locals); m.locals > maxAllLocals {
		refuse(TooMany, f.body.code.base, "locals of all functions")
	}
	return f
}

// localTypes are those of all locals, parameters first.
func (f *function) localTypes() []byte {
	types := make([]byte, 0, f.firstLocal)
	types = append(types, f.typ.params...)
	for _, run := range f.body.locals {
		for range run.count {
			types = append(types, run.typ)
		}
	}
	return types
}

// local returns the index of an added local, the first of a type or a later one.
func (f *function) local(typ byte, n int) uint32 {
	if typ == typeI32 && f.counted {
		n++ // the first is depthLocal
	}
	return f.nthLocal(typ, n)
}

// depthLocal holds the depth that the function was called at.
func (f *function) depthLocal() uint32 { return f.nthLocal(typeI32, 0) }

func (f *function) nthLocal(typ byte, n int) uint32 {
	for i, t := range f.added {
		if t != typ {
			continue
		}
		if n == 0 {
			return f.firstLocal + uint32(i)
		}
		n--
	}
	f.added = append(f.added, typ)
	if n > 0 {
		return f.nthLocal(typ, n-1)
	}
	return f.firstLocal + uint32(len(f.added)-1)
}

// next reads one instruction and refuses what may not be.
func (f *function) next(r *reader, in *instr) {
	*in = instr{from: r.at}
	f.from = r.at
	in.op = r.byte()
	kind := coreTable[in.op]
	switch in.op {
	case 0xfc:
		in.sub = r.u32()
		kind = prefixed(in.sub)
	case 0xfd:
		in.sub = r.u32()
		kind = vector(in.sub)
	}
	if kind == bad || forbidden(in) {
		r.fail(Forbidden, "instruction "+spell(in))
	}
	skip(r, kind, in)
	in.to = r.at
}

// forbidden tells what decodes and still may not be: what changes tables or
// makes references, which could not be saved.
func forbidden(in *instr) bool {
	switch in.op {
	case 0x26, 0xd2:
		return true
	case 0xfc:
		return in.sub >= 12 && in.sub != 16
	}
	return false
}

func spell(in *instr) string {
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
		in.second = r.u32()
	case memarg:
		r.u32()
		r.u32()
	case memargLane:
		r.u32()
		r.u32()
		r.byte()
	case blockType:
		in.wide = r.signed(5)
	case brTable:
		in.count = r.count(maxBrTable, "labels of a br_table")
		in.list = r.at
		for range in.count {
			r.u32()
		}
		in.imm = r.u32()
	case i32Const:
		in.wide = r.signed(5)
	case i64Const:
		in.wide = r.signed(10)
	case fourBytes:
		r.bytes(4)
	case eightBytes:
		r.bytes(8)
	case sixteenBytes:
		r.bytes(16)
	case oneByte:
		r.byte()
	case valueTypes:
		types := readValueTypes(r, 1, "types of a select")
		if len(types) != 1 {
			r.fail(Invalid, "select of no type")
		}
		in.wide = int64(types[0])
	}
}
