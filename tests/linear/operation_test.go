package linear

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/anishathalye/porcupine"
)

// The operations of the guest, as guest.c numbers them.
const (
	opRead uint64 = iota
	opWrite
	opSwap
	opPut
	opGet
	opDelete
	opPush
	opPop
	opTransfer
	opBalances
	opNow
)

var opNames = []string{"read", "write", "swap", "put", "get", "delete", "push", "pop", "transfer", "balances", "now"}

// operation is what a client asks: an operation and its arguments.
type operation struct{ op, a, b, c uint64 }

func (o operation) encode() []byte {
	var in []byte
	for _, v := range []uint64{o.op, o.a, o.b, o.c} {
		in = binary.LittleEndian.AppendUint64(in, v)
	}
	return in
}

func (o operation) String() string {
	return fmt.Sprintf("%s(%d, %d, %d)", opNames[o.op], o.a, o.b, o.c)
}

// reads reports whether an operation changes nothing, so that one without an answer says nothing.
func (o operation) reads() bool {
	return o.op == opRead || o.op == opGet || o.op == opBalances || o.op == opNow
}

// answer is what the machine said: numbers, that the queue was full, or nothing in time.
type answer struct {
	numbers [slots]uint64
	n       int
	full    bool
	unknown bool
}

func decode(out []byte) answer {
	a := answer{n: len(out) / 8}
	for i := range min(a.n, slots) {
		a.numbers[i] = binary.LittleEndian.Uint64(out[8*i:])
	}
	return a
}

func say(numbers ...uint64) answer {
	a := answer{n: len(numbers)}
	copy(a.numbers[:], numbers)
	return a
}

// draw picks an operation. Values that are written are unique, so that each can be told from the others.
func draw(r *rand.Rand, unique uint64) operation {
	key, few := r.Uint64N(3), r.Uint64N(4)
	switch r.IntN(14) {
	case 0, 1:
		return operation{op: opRead, a: key}
	case 2:
		return operation{op: opWrite, a: key, b: unique}
	case 3:
		return operation{op: opSwap, a: key, b: unique - 1, c: unique}
	case 4:
		return operation{op: opPut, a: key, b: unique}
	case 5, 6:
		return operation{op: opGet, a: key}
	case 7:
		return operation{op: opDelete, a: key}
	case 8:
		return operation{op: opPush, b: unique}
	case 9:
		return operation{op: opPop}
	case 10:
		return operation{op: opTransfer, a: few, b: (few + 1 + r.Uint64N(3)) % 4, c: 1 + r.Uint64N(60)}
	case 11, 12:
		return operation{op: opNow}
	}
	return operation{op: opBalances}
}

// history is the calls of all clients.
type history []porcupine.Operation

// never is when a call without an answer returns: it may take effect at any time, or, after all else, to no effect.
const never = math.MaxInt64

// of picks the calls of some operations.
func (h history) of(ops ...uint64) (picked history) {
	for _, o := range h {
		for _, op := range ops {
			if o.Input.(operation).op == op {
				picked = append(picked, o)
			}
		}
	}
	return picked
}
