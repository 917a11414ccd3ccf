package instrument

import "math"

// reader reads a module or a part of one. It never reads past its end: what is
// cut is a fault at an offset.
type reader struct {
	data []byte
	at   int // next byte
	base int // offset of data in the module
	fn   int // index of the function that it is in, and 1; 0 outside of functions
}

// fault is how the decoder gives up: it unwinds to Instrument, which turns it
// into a Refusal. Nothing else in this package panics.
type fault struct{ refusal *Refusal }

func (r *reader) fail(reason Reason, detail string) {
	panic(fault{&Refusal{Reason: reason, Func: r.fn - 1, Offset: r.base + r.at, Detail: detail}})
}

func (r *reader) more() bool { return r.at < len(r.data) }

func (r *reader) byte() byte {
	if r.at >= len(r.data) {
		r.fail(Malformed, "unexpected end")
	}
	b := r.data[r.at]
	r.at++
	return b
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)-r.at) {
		r.fail(Malformed, "length runs past the end")
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

// part is a reader of the next n bytes.
func (r *reader) part(n uint32) *reader {
	base := r.base + r.at
	return &reader{data: r.bytes(n), base: base, fn: r.fn}
}

// u32 reads an unsigned LEB128 of at most 5 bytes, overlong or not.
func (r *reader) u32() uint32 {
	v := r.leb(5)
	if v > math.MaxUint32 {
		r.fail(Malformed, "integer is larger than 32 bits")
	}
	return uint32(v)
}

func (r *reader) leb(most int) uint64 {
	var v uint64
	for i := range most {
		b := r.byte()
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v
		}
	}
	r.fail(Malformed, "integer is too long")
	return 0
}

// s32 reads a signed LEB128 of 32 bits.
func (r *reader) s32() int32 { return int32(r.signed(5)) }

// signed reads a signed LEB128 of at most that many bytes.
func (r *reader) signed(most int) int64 {
	var v int64
	for i := range most {
		b := r.byte()
		v |= int64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if shift := 7 * (i + 1); shift < 64 && b&0x40 != 0 {
				v |= -1 << shift
			}
			return v
		}
	}
	r.fail(Malformed, "integer is too long")
	return 0
}

// count reads the length of a vector whose elements have at least one byte.
func (r *reader) count(limit int, what string) int {
	n := r.u32()
	if n > uint32(limit) {
		r.fail(TooMany, what)
	}
	if int(n) > len(r.data)-r.at {
		r.fail(Malformed, "vector runs past the end")
	}
	return int(n)
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }
