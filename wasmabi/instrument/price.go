package instrument

// Prices in gas. One unit is about one simple instruction.
const (
	priceLocal = 0  // of zeroing a local at entry; added per local
	bulkShift  = 3  // 1 for 8 bytes
	growShift  = 10 // 1,024 for a page of 64 KiB
)

// price is what one instruction costs, besides what it pays by length.
func price(in instr) int64 {
	switch op := in.op; {
	case op == 0x00, op == 0x01, op == 0x02, op == 0x03, op == 0x05, op == 0x0b: // no machine code of their own
		return 0
	case op == 0x10:
		return 3
	case op == 0x11:
		return 6
	case op >= 0x6d && op <= 0x70 || op >= 0x7f && op <= 0x82: // integer division
		return 10
	case op == 0x91 || op == 0x9f || op == 0x95 || op == 0xa3: // float square root and division
		return 8
	case op == 0x40 || op == 0xfc && in.sub >= 8:
		return 50
	case op == 0xfd:
		return 2
	}
	return 1
}
