// Package kv is a replicated key-value store: an example guest in two versions,
// the codec that its clients use, and the built modules.
//
// The guests are v1 and v2, which adds OpAdd and OpCount. README.md has the line
// that builds them.
//
// # Requests
//
// A request is an operation, then a key with its length in front, then the rest:
//
//	request = op:byte key-length:uvarint key rest
//
//	op  name    rest              answer
//	1   put     the value         nothing
//	2   get     nothing           a byte, 1 if there is a value, and the value
//	3   delete  nothing           a byte, 1 if there was a value
//	4   add     delta, 8 bytes    the sum, 8 bytes                  (v2)
//	5   count   nothing           the number of keys, 8 bytes       (v2)
//
// Integers are big endian and signed; a sum wraps around. A key that is absent
// counts as 0 in add; a value that is not 8 bytes rejects it. A count has an
// empty key. Get and count may be asked as queries too.
package kv

import (
	"encoding/binary"
	"errors"
)

// Op is an operation.
type Op byte

// The operations.
const (
	OpPut    Op = 1
	OpGet    Op = 2
	OpDelete Op = 3
	OpAdd    Op = 4
	OpCount  Op = 5
)

// Limits of a request in bytes.
const (
	MaxKey   = 1 << 10
	MaxValue = 256 << 10
)

// Codes of rejections.
const (
	CodeMalformed = 16 // not a request, or over a limit
	CodeUnknown   = 17 // an operation that this version lacks
	CodeNotNumber = 18 // add to a value that is not 8 bytes
)

// Put makes key hold value.
func Put(key string, value []byte) []byte { return encode(OpPut, key, value) }

// Get asks for the value of key; see DecodeGet.
func Get(key string) []byte { return encode(OpGet, key, nil) }

// Delete forgets key; see DecodeDelete.
func Delete(key string) []byte { return encode(OpDelete, key, nil) }

// Add adds to the number that key holds; see DecodeNumber.
func Add(key string, delta int64) []byte {
	return binary.BigEndian.AppendUint64(encode(OpAdd, key, nil), uint64(delta))
}

// Count asks for the number of keys; see DecodeNumber.
func Count() []byte { return encode(OpCount, "", nil) }

func encode(op Op, key string, rest []byte) []byte {
	b := make([]byte, 0, 1+binary.MaxVarintLen32+len(key)+len(rest)+8)
	b = append(b, byte(op))
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	return append(b, rest...)
}

// Errors of the codec. The guest is built from this file too, and package fmt
// would add 0.8 MB to it.
var (
	errAnswer = errors.New("answer is not what the operation gives")
	errShort  = errors.New("request is cut short")
	errKey    = errors.New("request has a malformed key")
	errLarge  = errors.New("request has a key or value over the limit")
)

// DecodeGet reads the answer to Get. The value is a part of answer.
func DecodeGet(answer []byte) (value []byte, ok bool, err error) {
	switch {
	case len(answer) >= 1 && answer[0] == 1:
		return answer[1:], true, nil
	case len(answer) == 1 && answer[0] == 0:
		return nil, false, nil
	}
	return nil, false, errAnswer
}

// DecodeDelete reads the answer to Delete.
func DecodeDelete(answer []byte) (existed bool, err error) {
	if len(answer) != 1 || answer[0] > 1 {
		return false, errAnswer
	}
	return answer[0] == 1, nil
}

// DecodeNumber reads the answer to Add and Count.
func DecodeNumber(answer []byte) (int64, error) {
	if len(answer) != 8 {
		return 0, errAnswer
	}
	return int64(binary.BigEndian.Uint64(answer)), nil
}

// Request is a decoded request. Key and Rest are parts of what was decoded.
type Request struct {
	Op   Op
	Key  []byte
	Rest []byte
}

// DecodeRequest reads a request.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) < 2 {
		return Request{}, errShort
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || (n > 1 && b[n] == 0) || size > uint64(len(b)-1-n) {
		return Request{}, errKey
	}
	rest := b[1+n:]
	r := Request{Op: Op(b[0]), Key: rest[:size], Rest: rest[size:]}
	if len(r.Key) > MaxKey || len(r.Rest) > MaxValue {
		return Request{}, errLarge
	}
	return r, nil
}
