package ordering

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// Chain is the running digest of a log: two replicas with an equal chain have
// read the same entries, with the same times, in the same order.
//
//	next = BLAKE3("lockstep chain v1\x00" ‖ chain ‖ epoch ‖ seq ‖ time ‖ len(data) ‖ data)
//
// with integers as 8 bytes, big endian. The zero Chain precedes the first entry.
type Chain [32]byte

const chainDomain = "lockstep chain v1\x00"

// Next returns the chain after e.
func (c Chain) Next(e Entry) Chain {
	var head [len(chainDomain) + 32 + 4*8]byte
	n := copy(head[:], chainDomain)
	n += copy(head[n:], c[:])
	for _, v := range [...]uint64{uint64(e.Epoch), uint64(e.Seq), uint64(e.Time), uint64(len(e.Data))} {
		binary.BigEndian.PutUint64(head[n:], v)
		n += 8
	}
	h := blake3.New()
	_, _ = h.Write(head[:])
	_, _ = h.Write(e.Data)
	var next Chain
	h.Sum(next[:0])
	return next
}

func (c Chain) String() string { return hex.EncodeToString(c[:8]) }
