package snapshot

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Of a node that differs, most children are the same. A sketch of what one has
// is two bytes of each child's digest; it lets a donor send only the children
// that differ. Two that differ have the same sketch once in 65,536: then the
// node that is put together does not have its digest, and the whole is asked for.

// SketchSize is the length of a sketch of a node, in bytes.
const SketchSize = Fanout * sketchBytes

const (
	sketchBytes = 2
	maskBytes   = Fanout / 8
	digestBytes = NodeSize / Fanout
)

// Sketch appends the sketch of a node, NodeSize bytes, or of nothing (nil).
func Sketch(to, encoded []byte) []byte {
	if encoded == nil {
		return append(to, make([]byte, SketchSize)...)
	}
	for at := 0; at < NodeSize; at += digestBytes {
		to = append(to, encoded[at:at+sketchBytes]...)
	}
	return to
}

// Differing is what of a node's children is not in a sketch: a mask, big endian,
// with bit i for child i, and the digests of those children in order.
func Differing(encoded, sketch []byte) []byte {
	out := make([]byte, maskBytes, maskBytes+NodeSize)
	var mask uint32
	for i := range Fanout {
		digest := encoded[i*digestBytes:][:digestBytes]
		if [sketchBytes]byte(digest) != [sketchBytes]byte(sketch[i*sketchBytes:]) {
			mask |= 1 << i
			out = append(out, digest...)
		}
	}
	binary.BigEndian.PutUint32(out, mask)
	return out
}

var errDiffering = errors.New("children of a node do not fit their mask")

// Merge puts a node together from the one that was sketched (nil for nothing)
// and what differs. Whether it is the right one is for its digest to say.
func Merge(local, differing []byte) ([]byte, error) {
	if len(differing) < maskBytes {
		return nil, errDiffering
	}
	mask, digests := binary.BigEndian.Uint32(differing), differing[maskBytes:]
	if len(digests) != bits.OnesCount32(mask)*digestBytes {
		return nil, errDiffering
	}
	node := make([]byte, NodeSize)
	copy(node, local)
	for ; mask != 0; mask &= mask - 1 {
		copy(node[bits.TrailingZeros32(mask)*digestBytes:], digests[:digestBytes])
		digests = digests[digestBytes:]
	}
	return node, nil
}
