package instrument

// canonicalise makes a NaN on top of the stack the canonical one.
func (f *function) canonicalise(kind floatKind) {
	w := &f.out
	t := f.local(nanType[kind], 0)
	if kind == f32 || kind == f64 {
		// A branch that is never taken costs less than a select that is always waited for.
		w.local(0x21, t)
		w.local(0x20, t)
		w.local(0x20, t)
		w.bytes(notEqual[kind]) // if it is no number
		w.bytes([]byte{0x04, 0x40})
		w.bytes(canonicalNaN[kind])
		w.local(0x21, t)
		w.byte(0x0b)
		w.local(0x20, t)
		return
	}
	w.local(0x22, t)
	w.bytes(canonicalNaN[kind])
	w.local(0x20, t)
	w.local(0x20, t)
	w.bytes(equalAndSelect[kind])
}

var nanType = [...]byte{f32: typeF32, f64: typeF64, f32x4: typeV128, f64x2: typeV128}

var canonicalNaN = [...][]byte{
	f32:   {0x43, 0, 0, 0xc0, 0x7f},
	f64:   {0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f},
	f32x4: {0xfd, 12, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f},
	f64x2: {0xfd, 12, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f},
}

var notEqual = [...][]byte{f32: {0x5c}, f64: {0x62}}

var equalAndSelect = [...][]byte{
	f32x4: {0xfd, 65, 0xfd, 82},
	f64x2: {0xfd, 71, 0xfd, 82},
}
