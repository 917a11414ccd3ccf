package instrument

// carried is a local that a loop sets, so that its turns begin with different values
// of it. Where a turn asks for more gas, wazero's compiler must save what is in
// registers around the call. It does so there, and only there, except for values
// that meet: those it saves wherever they come from, at every turn. So it is
// copies of them that go through the call.
type carried struct {
	local uint32
	typ   byte
}

// maxCarried is how many a loop may have to be worth it: more are not all in registers.
const maxCarried = 6

// carry records a local for the loops around in which it was not set before, if it was read there:
// what is set first comes from no other turn. Times are ordinals of the last such instructions, and 1.
func (f *function) carry(loop int, c carried, set, got int32) {
	for ; loop >= 0 && f.loops[loop].opened > set; loop = f.loops[loop].parent {
		l := &f.loops[loop]
		if l.opened < got && len(l.carried) <= maxCarried && !l.calls && c.typ != typeFunc && c.typ != typeExt {
			l.carried = append(l.carried, c)
		}
	}
}

// copy gives a local a new value with the same bits, by what wazero does not see through.
func (c carried) copy(w *writer) {
	w.local(0x20, c.local)
	w.local(0x20, c.local)
	w.bytes(itself[c.typ])
	w.local(0x21, c.local)
}

var itself = map[byte][]byte{
	typeI32:  {0x72},       // or
	typeI64:  {0x84},       // or
	typeF32:  {0x98},       // copysign
	typeF64:  {0xa6},       // copysign
	typeV128: {0xfd, 0x50}, // or
}
