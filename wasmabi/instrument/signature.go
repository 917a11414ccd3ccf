package instrument

import "strings"

// letter is a value type as signatures spell it.
func letter(c byte) byte {
	switch c {
	case 'i':
		return typeI32
	case 'I':
		return typeI64
	case 'f':
		return typeF32
	case 'F':
		return typeF64
	}
	return typeV128
}

// signature is what an instruction of fixed type takes and gives, first to
// last: i is i32, I i64, f f32, F f64, v v128.
type signature struct{ params, results []byte }

var coreSignatures, prefixedSignatures, vectorSignatures = signatures()

// signatures spells out the tables of the specification, section 5.4, as runs
// of opcodes that have the same type.
func signatures() (core, prefixed, vector [256]*signature) {
	fill := func(table *[256]*signature, runs string) {
		at := 0
		for _, run := range strings.Fields(runs) {
			count, spelling, _ := strings.Cut(run, "*")
			n := 0
			for _, digit := range count {
				n = n*10 + int(digit-'0')
			}
			if spelling != "" {
				params, results, _ := strings.Cut(spelling, ">")
				s := &signature{spellTypes(params), spellTypes(results)}
				for i := range n {
					table[at+i] = s
				}
			}
			at += n
		}
	}
	// From nop: 0x01, then loads 0x28, stores 0x36, memory 0x3f, constants 0x41, i32 0x45 …
	fill(&core, "40* 1*i>i 1*i>I 1*i>f 1*i>F 4*i>i 6*i>I 1*ii> 1*iI> 1*if> 1*iF> 2*ii> 3*iI> 1*>i 1*i>i 1*>i 1*>I 1*>f 1*>F "+
		"1*i>i 10*ii>i 1*I>i 10*II>i 6*ff>i 6*FF>i 3*i>i 15*ii>i 3*I>I 15*II>I 7*f>f 7*ff>f 7*F>F 7*FF>F "+
		"1*I>i 2*f>i 2*F>i 2*i>I 2*f>I 2*F>I 2*i>f 2*I>f 1*F>f 2*i>F 2*I>F 1*f>F 1*f>i 1*F>I 1*i>f 1*I>F 2*i>i 3*I>I")
	// Saturating truncations, memory.init, data.drop, memory.copy, memory.fill; tables stay constant.
	fill(&prefixed, "2*f>i 2*F>i 2*f>I 2*F>I 1*iii> 1*> 2*iii> 4* 1*>i")
	fill(&vector, "11*i>v 1*iv> 1*>v 2*vv>v 3*i>v 1*I>v 1*f>v 1*F>v 2*v>i 1*vi>v 2*v>i 1*vi>v 1*v>i 1*vi>v 1*v>I 1*vI>v 1*v>f 1*vf>v 1*v>F 1*vF>v "+ // to 34
		"42*vv>v 1*v>v 4*vv>v 1*vvv>v 1*v>i 4*iv>v 4*iv> 2*i>v 2*v>v 3*v>v 2*v>i 2*vv>v 4*v>v 3*vi>v 6*vv>v 2*v>v 4*vv>v 1*v>v 1*vv>v 4*v>v "+ // to 127
		"2*v>v 1*vv>v 2*v>i 2*vv>v 4*v>v 3*vi>v 6*vv>v 1*v>v 5*vv>v 1* 5*vv>v "+ // to 159
		"2*v>v 1* 2*v>i 2* 4*v>v 3*vi>v 1*vv>v 2* 1*vv>v 3* 6*vv>v 1* 4*vv>v "+ // to 191
		"2*v>v 1* 2*v>i 2* 4*v>v 3*vi>v 1*vv>v 2* 1*vv>v 3* 11*vv>v "+ // to 223
		"2*v>v 1* 1*v>v 8*vv>v 2*v>v 1* 1*v>v 8*vv>v 8*v>v") // to 255
	return core, prefixed, vector
}

func spellTypes(s string) []byte {
	types := make([]byte, len(s))
	for i := range s {
		types[i] = letter(s[i])
	}
	return types
}

// fixed gives the signature of an instruction whose type does not depend on
// where it stands; nil for the others.
func fixed(in *instr) *signature {
	switch {
	case in.op == 0xfc:
		return prefixedSignatures[in.sub&0xff]
	case in.op == 0xfd:
		return vectorSignatures[in.sub&0xff]
	}
	return coreSignatures[in.op]
}
