// Package cbor is the part of CBOR (RFC 8949) that messages of guests need:
// integers, byte and text strings, arrays, booleans and null, each in its one
// shortest form. It is the same in the SDKs of all languages.
//
// By convention a request is an array of the operation's name and its
// arguments, as ["transfer", "ann", "bob", 5]; the answer is one item.
//
//	q, r := cbor.NewRequest(input), &cbor.Writer{}
//	switch q.Op() {
//	case "add":
//		n := q.Int()
//		if !q.End() { … }
package cbor

import "lockstep/guests/sdk/go/lockstep"

// What is wrong with a request before a machine looks at it, in all languages.
var (
	ErrMalformed = lockstep.Reject(16, "malformed request")
	ErrUnknown   = lockstep.Reject(16, "unknown operation")
)

// The major types, and the simple values.
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4

	itemFalse = 0xf4
	itemTrue  = 0xf5
	itemNull  = 0xf6
)

// Writer appends items to Bytes.
type Writer struct{ Bytes []byte }

func (w *Writer) head(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.Bytes = append(w.Bytes, major|byte(n))
	case n < 1<<8:
		w.Bytes = append(w.Bytes, major|24, byte(n))
	case n < 1<<16:
		w.Bytes = append(w.Bytes, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		w.Bytes = append(w.Bytes, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		w.Bytes = append(w.Bytes, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// Int writes an integer.
func (w *Writer) Int(n int64) *Writer {
	if n < 0 {
		w.head(majorNint, uint64(^n))
	} else {
		w.head(majorUint, uint64(n))
	}
	return w
}

// Text writes a text string, which should be UTF-8.
func (w *Writer) Text(s string) *Writer {
	w.head(majorText, uint64(len(s)))
	w.Bytes = append(w.Bytes, s...)
	return w
}

// Data writes a byte string.
func (w *Writer) Data(b []byte) *Writer {
	w.head(majorBytes, uint64(len(b)))
	w.Bytes = append(w.Bytes, b...)
	return w
}

// Array begins an array of the next n items.
func (w *Writer) Array(n int) *Writer {
	w.head(majorArray, uint64(n))
	return w
}

// Bool writes a boolean.
func (w *Writer) Bool(b bool) *Writer {
	if b {
		w.Bytes = append(w.Bytes, itemTrue)
	} else {
		w.Bytes = append(w.Bytes, itemFalse)
	}
	return w
}

// Null writes the absence of a value.
func (w *Writer) Null() *Writer {
	w.Bytes = append(w.Bytes, itemNull)
	return w
}

// Reader reads items. An item that is not what is asked for makes it bad, and
// everything from then on zero.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads from b, which strings that it returns are copies or parts of.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// head reads the head of an item.
func (r *Reader) head() (major byte, n uint64) {
	if r.bad || len(r.rest) == 0 {
		r.bad = true
		return 0, 0
	}
	major, info := r.rest[0]>>5, r.rest[0]&31
	r.rest = r.rest[1:]
	if info < 24 {
		return major, uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.rest) < size {
		r.bad = true
		return 0, 0
	}
	for _, b := range r.rest[:size] {
		n = n<<8 | uint64(b)
	}
	r.rest = r.rest[size:]
	if least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]; n < least {
		r.bad = true // it has a shorter form
	}
	return major, n
}

// want reads the head of an item of a type.
func (r *Reader) want(major byte) uint64 {
	got, n := r.head()
	if got != major {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	return n
}

// Int reads an integer.
func (r *Reader) Int() int64 {
	major, n := r.head()
	if r.bad || major > majorNint || n > 1<<63-1 {
		r.bad = true
		return 0
	}
	if major == majorNint {
		return ^int64(n)
	}
	return int64(n)
}

func (r *Reader) string(major byte) []byte {
	n := r.want(major)
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// Text reads a text string.
func (r *Reader) Text() string { return string(r.string(majorText)) }

// Data reads a byte string, which is a part of what is read.
func (r *Reader) Data() []byte { return r.string(majorBytes) }

// Array reads the head of an array and returns the number of its items, each of
// which has at least a byte.
func (r *Reader) Array() int {
	n := r.want(majorArray)
	if n > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// End reports whether all was read, and was as it was asked for.
func (r *Reader) End() bool { return !r.bad && len(r.rest) == 0 }

// Bad reports whether something was not as it was asked for.
func (r *Reader) Bad() bool { return r.bad }

// Rest is what was not read yet.
func (r *Reader) Rest() []byte { return r.rest }

// Request is an array of an operation's name and its arguments.
type Request struct {
	Reader
	op   string
	args int
}

// NewRequest reads the name of the operation.
func NewRequest(b []byte) *Request {
	q := &Request{Reader: Reader{rest: b}}
	q.args = q.Array() - 1
	q.op = q.Text()
	return q
}

// Op is the operation, empty if the request has none.
func (q *Request) Op() string { return q.op }

// Args reports whether the request has n arguments, and nothing wrong so far.
func (q *Request) Args(n int) bool { return !q.bad && q.args == n }
