package instrument

// immediates is what follows an opcode.
type immediates uint8

const (
	none      immediates = iota
	index                // one u32
	twoIndex             // two u32
	memarg               // alignment and offset
	blockType            // s33
	brTable
	i32Const
	i64Const
	fourBytes
	eightBytes
	sixteenBytes
	oneByte
	memargLane
	valueTypes // vector of value types
	bad
)

// coreTable is core, made once.
var coreTable = func() (table [256]immediates) {
	for op := range table {
		table[op] = core(byte(op))
	}
	return table
}()

// core gives the immediates of one-byte opcodes; those not listed are refused.
func core(op byte) immediates {
	switch {
	case op == 0x02 || op == 0x03 || op == 0x04: // block loop if
		return blockType
	case op == 0x0c || op == 0x0d || op == 0x10: // br br_if call
		return index
	case op == 0x0e:
		return brTable
	case op == 0x11: // call_indirect
		return twoIndex
	case op == 0x00, op == 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b:
		return none
	case op == 0x1c:
		return valueTypes
	case op >= 0x20 && op <= 0x25: // local.*, global.*, table.get, table.set
		return index
	case op >= 0x28 && op <= 0x3e: // loads and stores
		return memarg
	case op == 0x3f || op == 0x40: // memory.size memory.grow
		return index
	case op == 0x41:
		return i32Const
	case op == 0x42:
		return i64Const
	case op == 0x43:
		return fourBytes
	case op == 0x44:
		return eightBytes
	case op >= 0x45 && op <= 0xc4: // numeric and sign extension
		return none
	case op == 0xd0, op == 0xd2: // ref.null, ref.func
		return index
	case op == 0xd1: // ref.is_null
		return none
	}
	return bad
}

// prefixed gives the immediates of opcodes behind 0xfc.
func prefixed(op uint32) immediates {
	switch {
	case op <= 7: // saturating truncations
		return none
	case op == 8 || op == 10 || op == 12 || op == 14: // *.init *.copy
		return twoIndex
	case op <= 17:
		return index
	}
	return bad
}

// vector gives the immediates of SIMD opcodes, behind 0xfd.
func vector(op uint32) immediates {
	switch {
	case op <= 11 || op == 92 || op == 93: // loads, v128.store, load32_zero, load64_zero
		return memarg
	case op == 12 || op == 13: // v128.const, i8x16.shuffle
		return sixteenBytes
	case op >= 21 && op <= 34: // lanes
		return oneByte
	case op >= 84 && op <= 91: // load and store lanes
		return memargLane
	case op <= 255:
		return none
	}
	return bad
}

// floatKind is the type of float in which an instruction makes NaNs.
type floatKind uint8

const (
	noFloat floatKind = iota
	f32
	f64
	f32x4
	f64x2
)

// produces tells which instructions can make a NaN whose bits Wasm leaves open.
func produces(op *instr) floatKind {
	switch op.op {
	case 0xfd:
		switch s := op.sub; {
		case s >= 103 && s <= 106 || s == 227 || s >= 228 && s <= 233 || s == 94: // ceil floor trunc nearest; sqrt; add sub mul div min max; demote
			return f32x4
		case s == 116 || s == 117 || s == 122 || s == 148 || s == 239 || s >= 240 && s <= 245 || s == 95: // likewise; promote
			return f64x2
		}
		return noFloat
	}
	switch {
	case op.op >= 0x8d && op.op <= 0x97 || op.op == 0xb6: // f32: ceil floor trunc nearest sqrt add sub mul div min max; demote
		return f32
	case op.op >= 0x9b && op.op <= 0xa5 || op.op == 0xbb: // f64 likewise; promote
		return f64
	}
	return noFloat
}

// hides tells whether an instruction that takes a float of a kind from the top
// of the stack depends on no more of a NaN than that it is one, so that what is
// below it need not be canonical.
func hides(kind floatKind, op *instr) bool {
	if op.op == 0xfd {
		switch {
		case kind == f32x4 && op.sub >= 65 && op.sub <= 70, kind == f64x2 && op.sub >= 71 && op.sub <= 76:
			return true // comparisons
		case op.sub == 94 || op.sub == 95: // demote and promote take the other kind
			return kind == f64x2 && op.sub == 94 || kind == f32x4 && op.sub == 95
		}
		return produces(op) == kind // the lanes of one kind are not those of the other
	}
	return produces(op) != noFloat ||
		op.op >= 0x5b && op.op <= 0x66 || // comparisons
		op.op >= 0xa8 && op.op <= 0xab || op.op >= 0xae && op.op <= 0xb1 || // truncations trap
		op.op == 0xfc && op.sub <= 7 // saturating ones give 0
}

var names = map[uint32]string{
	0x25: "table.get", 0x26: "table.set", 0xd0: "ref.null", 0xd1: "ref.is_null", 0xd2: "ref.func",
	0xfc0c: "table.init", 0xfc0d: "elem.drop", 0xfc0e: "table.copy", 0xfc0f: "table.grow",
	0xfc10: "table.size", 0xfc11: "table.fill", 0x06: "try", 0x08: "throw", 0x12: "return_call", 0x13: "return_call_indirect",
	0x14: "call_ref", 0x1f: "try_table", 0xfe: "atomic", 0xfb: "gc",
}
