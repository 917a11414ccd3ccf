package canonical

import "fmt"

// Reader reads the items of an encoding one after the other, for types that decode themselves. It takes what Format.Decode
// takes and nothing else; after the first item that is not as asked for, all that it gives is zero, and End says so.
type Reader struct {
	format Format
	rest   []byte
	bad    bool
}

// Read begins to read data, of which what is given out are views.
func (f Format) Read(data []byte) Reader {
	if !f.Match(data) {
		return Reader{format: f, bad: true}
	}
	return Reader{format: f, rest: data[len(f):]}
}

// Head reads the head of an item in its shortest form.
func (r *Reader) Head(major byte) (n uint64) {
	if r.bad || len(r.rest) == 0 || r.rest[0]>>5 != major {
		r.bad = true
		return 0
	}
	low := r.rest[0] & 31
	if low < 24 {
		r.rest = r.rest[1:]
		return uint64(low)
	}
	size := 1 << (low - 24)
	if low > 27 || len(r.rest) <= size {
		r.bad = true
		return 0
	}
	for _, b := range r.rest[1 : 1+size] {
		n = n<<8 | uint64(b)
	}
	if shorter := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}; n < shorter[low-24] {
		r.bad = true
		return 0
	}
	r.rest = r.rest[1+size:]
	return n
}

// Unsigned reads a number that is not above most.
func (r *Reader) Unsigned(most uint64) uint64 {
	n := r.Head(Unsigned)
	if n > most {
		r.bad = true
		return 0
	}
	return n
}

// Array reads the head of an array of so many items, and reports whether all was as asked for up to here.
func (r *Reader) Array(items uint64) bool {
	r.bad = r.Head(Array) != items || r.bad
	return !r.bad
}

// Bytes reads a byte string.
func (r *Reader) Bytes() []byte {
	n := r.Head(Bytes)
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Fill reads a byte string that is as long as b into it.
func (r *Reader) Fill(b []byte) {
	if from := r.Bytes(); len(from) == len(b) {
		copy(b, from)
	} else {
		r.bad = true
	}
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	if r.bad || len(r.rest) == 0 || r.rest[0]&^1 != 0xf4 {
		r.bad = true
		return false
	}
	v := r.rest[0] == 0xf5
	r.rest = r.rest[1:]
	return v
}

// Left is how many bytes are still to be read.
func (r *Reader) Left() int { return len(r.rest) }

// End tells whether all was as asked for, and nothing is left.
func (r *Reader) End() error {
	switch {
	case r.rest == nil:
		return fmt.Errorf("decode %s: %w", r.format, ErrFormat)
	case r.bad:
		return fmt.Errorf("decode %s: encoding is malformed or not canonical", r.format)
	case len(r.rest) > 0:
		return fmt.Errorf("decode %s: %d bytes are left over", r.format, len(r.rest))
	}
	return nil
}
