// Package canonical is the one encoding of everything that is signed, hashed
// or replicated: CBOR in its core deterministic form (RFC 8949 section 4.2.1)
// behind a four-byte magic whose last byte is the version.
//
// Whatever decodes re-encodes to the same bytes; anything else is an error.
// So two replicas that hold equal values hold equal digests, and no message
// has two spellings.
package canonical

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Format is a magic of four bytes, such as "LSB1": what the bytes are, and the
// version of their layout.
type Format string

// ErrFormat is returned for bytes that are not this format's.
var ErrFormat = errors.New("not this format")

// Limits of the decoder, per message. Byte strings are bounded by the message.
const (
	maxArray = 1 << 20
	maxMap   = 1 << 10
	maxDepth = 12
)

var encode, decode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	opts := cbor.CoreDetEncOptions()
	opts.NilContainers = cbor.NilContainerAsEmpty // nil and empty are one value
	enc, err := opts.EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxArrayElements:  maxArray,
		MaxMapPairs:       maxMap,
		MaxNestedLevels:   maxDepth,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Encode returns the magic and v. It panics on a type that CBOR has no form
// for, which is a mistake in the calling code and not in its data.
func (f Format) Encode(v any) []byte {
	b := bytes.NewBufferString(string(f))
	if err := encode.NewEncoder(b).Encode(v); err != nil {
		panic(fmt.Sprintf("encode %s: %v", f, err))
	}
	return b.Bytes()
}

// Decode fills v from data, all of it. It returns ErrFormat for another magic,
// and an error for bytes that are cut, too long, too deep or not canonical.
func (f Format) Decode(data []byte, v any) error {
	if !f.Match(data) {
		return fmt.Errorf("decode %s: %w", f, ErrFormat)
	}
	if err := decode.Unmarshal(data[len(f):], v); err != nil {
		return fmt.Errorf("decode %s: %w", f, err)
	}
	if !bytes.Equal(f.Encode(v), data) {
		return fmt.Errorf("decode %s: encoding is not canonical", f)
	}
	return nil
}

// Match reports whether data starts with the format's magic.
func (f Format) Match(data []byte) bool {
	return len(data) >= len(f) && string(data[:len(f)]) == string(f)
}
