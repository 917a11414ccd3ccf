package canonical

import "encoding/binary"

// Major types of CBOR (RFC 8949 section 3.1), for types that encode themselves.
const (
	Unsigned byte = 0
	Bytes    byte = 2
	Array    byte = 4
)

// MaxHead is the most bytes that AppendHead adds.
const MaxHead = 9

// AppendHead appends the head of an item in its shortest form: a major type, and
// the number itself or the length of what follows.
func AppendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// AppendBool appends a truth value.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xf5)
	}
	return append(b, 0xf4)
}

// AppendBytes appends a byte string.
func AppendBytes(b, v []byte) []byte {
	return append(AppendHead(b, Bytes, uint64(len(v))), v...)
}
