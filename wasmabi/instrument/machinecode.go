package instrument

// Bytes of machine code for a place where a NaN is made canonical, of an operand that a block or a call takes or gives,
// and of a select that becomes an if.
const (
	canonicalCode = 64
	operandCode   = 8
	selectCode    = 32
)

// machineCode estimates what wazero's compiler makes of an instruction on amd64, in bytes, with what the rewriting
// adds to it. It is about right where there is much of it: checks, and ways out to traps. A compiler holds a
// function's code, and up to 60 bytes for each of that, while it compiles; and the code of all of a module twice, and keeps it once.
func machineCode(in *instr) int {
	switch op := in.op; {
	case op == 0x00, op == 0x01, op == 0x02, op == 0x05, op == 0x0b, op == 0x1a, op >= 0x20 && op <= 0x22: // blocks, drop, locals
		return 0
	case op == 0x03: // loop
		return 64
	case op == 0x04, op == 0x0d: // if, br_if
		return 24
	case op == 0x0e: // br_table
		return 16 * (2 + in.count)
	case op == 0x10: // call
		return 24
	case op == 0x11: // call_indirect
		return 224
	case op == 0x25: // table.get
		return 80
	case op >= 0x28 && op <= 0x3e: // load, store
		return 64
	case op == 0x40: // memory.grow
		return 128
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // integer division
		return 128
	case op >= 0xa8 && op <= 0xab, op >= 0xae && op <= 0xb1, op == 0xfc && in.sub < 8: // float to integer
		return 240
	case op == 0xfc: // ranges of memory
		return 384
	case op == 0xfd && needsMemory(in):
		return 64
	case op == 0xfd:
		return 40
	}
	return 8
}

// atOnce is how many functions a compiler may have in hand, whichever these are: what lives across branches
// takes as much for each as code does for a byte.
func atOnce(funcs []*function) int {
	largest := 1
	for _, f := range funcs {
		largest = max(largest, f.machine+f.live)
	}
	return max(1, machineAtOnce/largest)
}
