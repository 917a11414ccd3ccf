package instrument

// Prices in gas. They are rounded from `go test -bench Prices ./tests/overhead`, which
// times each instruction in a chain of its own results, on wazero's compiler on amd64: one unit is at
// most half a nanosecond there, and a tenth where an instruction overlaps with others.
const (
	bulkShift = 3  // 1 for 8 bytes
	growShift = 10 // 1,024 for a page of 64 KiB
)

// price is what one instruction costs, besides what it pays by length.
func price(in *instr) int64 {
	switch op := in.op; {
	case op == 0x00, op == 0x01, op == 0x02, op == 0x03, op == 0x05, op == 0x0b: // no machine code of their own
		return 0
	case op == 0x10:
		return 3
	case op == 0x11:
		return 6
	case op >= 0x6d && op <= 0x70 || op >= 0x7f && op <= 0x82: // integer division
		return 10
	case op == 0x95: // f32.div
		return 8
	case op == 0x91 || op == 0xa3: // f32.sqrt, f64.div
		return 10
	case op == 0x9f: // f64.sqrt
		return 12
	case op >= 0xa8 && op <= 0xab || op >= 0xae && op <= 0xb5 || op >= 0xb7 && op <= 0xba || op == 0xfc && in.sub < 8: // float and integer
		return 5
	case op == 0x40 || op == 0xfc && in.sub >= 8:
		return 50
	case op == 0xfd:
		return vectorPrice(in.sub)
	}
	return 1
}

func vectorPrice(sub uint32) int64 {
	switch {
	case sub == 0xe3 || sub == 0xef: // sqrt
		return 14
	case sub == 0xe7 || sub == 0xf3 || sub == 0xcc: // div, i64x2.shr_s
		return 10
	case sub >= 0xf8: // float and integer
		return 8
	case sub == 0x53 || sub == 0x63 || sub == 0x64 || sub == 0x83 || sub == 0x84 || sub == 0xa3 || sub == 0xa4 || sub == 0xc3 || sub == 0xc4: // to a number
		return 5
	case sub == 0x62 || sub == 0xd5 || sub >= 0x15 && sub <= 0x22 || sub == 0xe8 || sub == 0xe9 || sub == 0xf4 || sub == 0xf5: // popcnt, i64x2.mul, lanes, min, max
		return 4
	}
	return 2
}
