package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"lockstep/ordering"
)

// Bytes of a record: see docs/format/journal.md.
const (
	recordHead = 68
	flagGroup  = 1 // all that was written before was durable
)

// record is one entry as the journal has it.
type record struct {
	entry ordering.Entry
	chain ordering.Chain
	group bool
}

func (r *record) position() ordering.Position {
	return ordering.Position{Epoch: r.entry.Epoch, Seq: r.entry.Seq, Chain: r.chain}
}

func (r *record) size() int { return recordHead + len(r.entry.Data) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendTo encodes the record.
func (r *record) appendTo(b []byte) []byte {
	start := len(b)
	flags := byte(0)
	if r.group {
		flags = flagGroup
	}
	b = append(b, 0, 0, 0, 0, flags, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.entry.Data)))
	b = binary.BigEndian.AppendUint64(b, uint64(r.entry.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(r.entry.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.entry.Time))
	b = append(b, r.chain[:]...)
	b = append(b, r.entry.Data...)
	binary.BigEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// plausible tells whether b may start with a record, at the price of a few
// comparisons, and how long that record would be.
func plausible(b []byte) (size int, ok bool) {
	if len(b) < recordHead || b[4]&^flagGroup != 0 || b[5]|b[6]|b[7] != 0 {
		return 0, false
	}
	n := binary.BigEndian.Uint32(b[8:])
	if n > ordering.MaxEntry || recordHead+int(n) > len(b) {
		return 0, false
	}
	return recordHead + int(n), true
}

// decodeRecord reads the record that b starts with. Its data is a view of b.
func decodeRecord(b []byte) (r record, size int, err error) {
	size, ok := plausible(b)
	if !ok {
		return r, 0, fmt.Errorf("record is not whole")
	}
	if binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:size], castagnoli) {
		return r, 0, fmt.Errorf("record has a wrong checksum")
	}
	r.group = b[4] == flagGroup
	r.entry = ordering.Entry{
		Epoch: ordering.Epoch(binary.BigEndian.Uint64(b[12:])),
		Seq:   ordering.Seq(binary.BigEndian.Uint64(b[20:])),
		Time:  ordering.Time(binary.BigEndian.Uint64(b[28:])),
		Data:  b[recordHead:size:size],
	}
	copy(r.chain[:], b[36:])
	return r, size, nil
}

// Bytes of a segment's header.
const (
	headerSize = 64
	magic      = "LSL1"
)

// Kinds of segments.
const (
	goesOn  = 0 // after a position of a segment before, or after what was dropped
	restart = 1 // all segments before are void
)

// appendHeader encodes the header of a segment that goes on after base.
func appendHeader(b []byte, base ordering.Position, kind byte) []byte { //nolint:unparam // as the other encoders
	start := len(b)
	b = append(b, magic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(base.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(base.Seq))
	b = append(b, base.Chain[:]...)
	b = append(b, kind, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// decodeHeader reads a segment's header.
func decodeHeader(b []byte) (base ordering.Position, kind byte, err error) {
	switch {
	case len(b) < headerSize:
		return base, 0, fmt.Errorf("header is not whole")
	case string(b[:4]) != magic:
		return base, 0, fmt.Errorf("magic is %q, want %q", b[:4], magic)
	case binary.BigEndian.Uint32(b[4:]) != crc32.Checksum(b[8:headerSize], castagnoli):
		return base, 0, fmt.Errorf("header has a wrong checksum")
	case b[56] > restart || binary.BigEndian.Uint64(b[56:])<<8 != 0:
		return base, 0, fmt.Errorf("header has bytes that this version does not know")
	}
	base.Epoch = ordering.Epoch(binary.BigEndian.Uint64(b[8:]))
	base.Seq = ordering.Seq(binary.BigEndian.Uint64(b[16:]))
	copy(base.Chain[:], b[24:])
	return base, b[56], nil
}
