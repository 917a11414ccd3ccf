package differential

// Value types.
const (
	i32  = 0x7f
	i64  = 0x7e
	f32  = 0x7d
	f64  = 0x7c
	v128 = 0x7b
)

// op is an instruction that takes values and gives one.
type op struct {
	code   []byte // with immediates, as far as they do not vary
	params []byte
	result byte
	rounds byte // the bits of a NaN in the result are left open: f32, f64, or these with simd set
	align  byte // of a load, log2; the immediate follows the code
	loads  bool
	lanes  byte // a lane index below this follows
}

const simd = 0x80

// ops are all instructions of WebAssembly 2.0 that give one value of a number
// or vector type from others, by result.
var ops = makeOps()

func makeOps() map[byte][]op {
	all := make(map[byte][]op)
	add := func(o op) { all[o.result] = append(all[o.result], o) }
	scalar := func(from, to byte, result byte, params ...byte) {
		for c := int(from); c <= int(to); c++ {
			add(op{code: []byte{byte(c)}, params: params, result: result, rounds: rounds(byte(c))})
		}
	}
	scalar(0x45, 0x45, i32, i32)
	scalar(0x46, 0x4f, i32, i32, i32)
	scalar(0x50, 0x50, i32, i64)
	scalar(0x51, 0x5a, i32, i64, i64)
	scalar(0x5b, 0x60, i32, f32, f32)
	scalar(0x61, 0x66, i32, f64, f64)
	scalar(0x67, 0x69, i32, i32)
	scalar(0x6a, 0x78, i32, i32, i32)
	scalar(0x79, 0x7b, i64, i64)
	scalar(0x7c, 0x8a, i64, i64, i64)
	scalar(0x8b, 0x91, f32, f32)
	scalar(0x92, 0x98, f32, f32, f32)
	scalar(0x99, 0x9f, f64, f64)
	scalar(0xa0, 0xa6, f64, f64, f64)
	for i, from := range []byte{i64, f32, f32, f64, f64} {
		scalar(0xa7+byte(i), 0xa7+byte(i), i32, from)
	}
	for i, from := range []byte{i32, i32, f32, f32, f64, f64} {
		scalar(0xac+byte(i), 0xac+byte(i), i64, from)
	}
	for i, from := range []byte{i32, i32, i64, i64, f64} {
		scalar(0xb2+byte(i), 0xb2+byte(i), f32, from)
	}
	for i, from := range []byte{i32, i32, i64, i64, f32} {
		scalar(0xb7+byte(i), 0xb7+byte(i), f64, from)
	}
	scalar(0xbc, 0xbc, i32, f32)
	scalar(0xbd, 0xbd, i64, f64)
	scalar(0xbe, 0xbe, f32, i32)
	scalar(0xbf, 0xbf, f64, i64)
	scalar(0xc0, 0xc1, i32, i32)
	scalar(0xc2, 0xc4, i64, i64)
	for i := range byte(8) { // saturating conversions
		from := []byte{f32, f32, f64, f64}[i%4]
		add(op{code: []byte{0xfc, i}, params: []byte{from}, result: []byte{i32, i64}[i/4]})
	}
	for i, align := range []byte{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2} { // loads
		result := []byte{i32, i64, f32, f64, i32, i32, i32, i32, i64, i64, i64, i64, i64, i64}[i]
		add(op{code: []byte{0x28 + byte(i)}, params: []byte{i32}, result: result, loads: true, align: align})
	}
	addVectors(add)
	return all
}

// rounds tells the type of a scalar instruction that computes with floats.
func rounds(c byte) byte {
	switch {
	case c >= 0x8d && c <= 0x97 || c >= 0xb6 && c <= 0xb6:
		return f32
	case c >= 0x9b && c <= 0xa5 || c == 0xbb:
		return f64
	}
	return 0
}

func addVectors(add func(op)) {
	code := func(c int) []byte {
		if c < 0x80 {
			return []byte{0xfd, byte(c)}
		}
		return []byte{0xfd, byte(c) | 0x80, byte(c >> 7)}
	}
	vector := func(params []byte, result byte, codes ...int) {
		for _, c := range codes {
			add(op{code: code(c), params: params, result: result, rounds: roundsVector(c)})
		}
	}
	span := func(from, to int) (list []int) {
		for c := from; c <= to; c++ {
			list = append(list, c)
		}
		return list
	}
	one, two, three := []byte{v128}, []byte{v128, v128}, []byte{v128, v128, v128}
	for i, align := range []byte{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3} {
		add(op{code: code(i), params: []byte{i32}, result: v128, loads: true, align: align})
	}
	for i, align := range []byte{2, 3} {
		add(op{code: code(0x5c + i), params: []byte{i32}, result: v128, loads: true, align: align})
	}
	for i, align := range []byte{0, 1, 2, 3} { // load lane
		add(op{code: code(0x54 + i), params: []byte{i32, v128}, result: v128, loads: true, align: align, lanes: 16 >> i})
	}
	vector(two, v128, 0x0e)
	for i, t := range []byte{i32, i32, i32, i64, f32, f64} {
		vector([]byte{t}, v128, 0x0f+i)
	}
	lane := func(c int, lanes byte, result byte, params ...byte) {
		add(op{code: code(c), params: params, result: result, lanes: lanes})
	}
	for _, e := range []struct {
		c     int
		lanes byte
		t     byte
		put   bool
	}{
		{0x15, 16, i32, false}, {0x16, 16, i32, false}, {0x17, 16, i32, true}, {0x18, 8, i32, false}, {0x19, 8, i32, false}, {0x1a, 8, i32, true},
		{0x1b, 4, i32, false}, {0x1c, 4, i32, true}, {0x1d, 2, i64, false}, {0x1e, 2, i64, true}, {0x1f, 4, f32, false}, {0x20, 4, f32, true},
		{0x21, 2, f64, false}, {0x22, 2, f64, true},
	} {
		if e.put {
			lane(e.c, e.lanes, v128, v128, e.t)
		} else {
			lane(e.c, e.lanes, e.t, v128)
		}
	}
	vector(two, v128, span(0x23, 0x4c)...)
	vector(one, v128, 0x4d)
	vector(two, v128, span(0x4e, 0x51)...)
	vector(three, v128, 0x52)
	vector(one, i32, 0x53, 0x63, 0x64, 0x83, 0x84, 0xa3, 0xa4, 0xc3, 0xc4)
	vector([]byte{v128, i32}, v128, 0x6b, 0x6c, 0x6d, 0x8b, 0x8c, 0x8d, 0xab, 0xac, 0xad, 0xcb, 0xcc, 0xcd)
	vector(one, v128, 0x5e, 0x5f, 0x60, 0x61, 0x62, 0x67, 0x68, 0x69, 0x6a, 0x74, 0x75, 0x7a, 0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0x81,
		0x87, 0x88, 0x89, 0x8a, 0x94, 0xa0, 0xa1, 0xa7, 0xa8, 0xa9, 0xaa, 0xc0, 0xc1, 0xc7, 0xc8, 0xc9, 0xca,
		0xe0, 0xe1, 0xe3, 0xec, 0xed, 0xef, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff)
	vector(two, v128, 0x65, 0x66, 0x7b, 0x82, 0x85, 0x86, 0x95, 0x9b, 0xae, 0xb1, 0xb5, 0xba, 0xce, 0xd1, 0xd5)
	for _, s := range [][2]int{{0x6e, 0x73}, {0x76, 0x79}, {0x8e, 0x93}, {0x96, 0x99}, {0x9c, 0x9f}, {0xb6, 0xb9}, {0xbc, 0xbf}, {0xd6, 0xdf}, {0xe4, 0xeb}, {0xf0, 0xf7}} {
		vector(two, v128, span(s[0], s[1])...)
	}
}

// roundsVector is rounds for vectors. What only moves bits, as pmin does, is none.
func roundsVector(c int) byte {
	switch {
	case c == 0x5e || c >= 0x67 && c <= 0x6a || c == 0xe3 || c >= 0xe4 && c <= 0xe9:
		return f32 | simd
	case c == 0x5f || c == 0x74 || c == 0x75 || c == 0x7a || c == 0x94 || c == 0xef || c >= 0xf0 && c <= 0xf5:
		return f64 | simd
	}
	return 0
}
