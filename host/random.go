package host

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"lockstep/ordering"
)

// RandomKey is the key of a call's random stream: a function of everything ordered
// so far, known to nobody before. It is hashed only where a guest draws from the
// stream, which most inputs never do. The zero value is a key too.
type RandomKey struct {
	Seed   [32]byte // the chain; the key itself where it was chosen, as in tests of guests
	domain string   // of the hash; empty: there is none
	of     uint64   // the input's index, or the timer's id
}

// Domains of the keys. The index of an input takes 4 bytes, the id of a timer 8.
const (
	domainOfInput = "lockstep random v1\x00"
	domainOfTimer = "lockstep random of timer v1\x00"
)

// randomOfInput is the key for the input at an index of the entry after which the chain is this.
func randomOfInput(chain ordering.Chain, index uint32) RandomKey {
	return RandomKey{chain, domainOfInput, uint64(index)}
}

// randomOfTimer is the same for the timer of an id.
func randomOfTimer(chain ordering.Chain, id int64) RandomKey {
	return RandomKey{chain, domainOfTimer, uint64(id)}
}

// Key returns the key's 32 bytes.
func (k RandomKey) Key() [32]byte {
	if k.domain == "" {
		return k.Seed
	}
	b := append([]byte(k.domain), k.Seed[:]...)
	if k.domain == domainOfTimer {
		return blake3.Sum256(binary.BigEndian.AppendUint64(b, k.of))
	}
	return blake3.Sum256(binary.BigEndian.AppendUint32(b, uint32(k.of)))
}
