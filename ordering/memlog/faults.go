package memlog

import (
	"errors"
	"math/rand/v2"
	"time"

	"lockstep/ordering"
)

// Faults says what goes wrong. Rates are per thousand appends, save ShortRead.
// The zero value is a log without faults.
type Faults struct {
	Refuse    int // the entry is not ordered, and the append fails with ErrDown
	DropEntry int // the entry is not ordered, and the append fails with ErrNoAck
	DropAck   int // the entry is ordered, and the append fails with ErrNoAck
	Duplicate int // the entry is ordered twice
	StepBack  int // its time is up to StepTime before that of the entry before
	StepTime  time.Duration
	Rewrite   int // a bit of one of the last RecentEntries flips
	Forget    int // up to RecentEntries of the newest entries, acknowledged ones, are gone

	Delay     time.Duration // the most by which an entry, its acknowledgement and its reading are late, each
	ShortRead int           // per thousand reads: not all that there is is returned at once
}

// RecentEntries is how far back Rewrite and Forget reach.
const RecentEntries = 8

// Errors of Append besides those of package ordering.
var (
	ErrDown  = errors.New("sequencer is down") // not ordered
	ErrNoAck = errors.New("no acknowledgement")
)

// dice draws faults. Its owner's mutex guards it.
type dice struct{ rng *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0x6c6f67))} }

func (d dice) hit(perThousand int) bool { return perThousand > 0 && d.rng.IntN(1000) < perThousand }

// upTo draws from 0 to most.
func (d dice) upTo(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(d.rng.Int64N(int64(most) + 1))
}

// some draws from 1 to most, which is at least 1.
func (d dice) some(most int) int { return 1 + d.rng.IntN(most) }

// flip returns e with one bit of its data, or of its time if it has none, flipped.
func (d dice) flip(e ordering.Entry) ordering.Entry {
	if len(e.Data) == 0 {
		e.Time ^= 1
		return e
	}
	data := append([]byte(nil), e.Data...)
	bit := d.rng.IntN(8 * len(data))
	data[bit/8] ^= 1 << (bit % 8)
	e.Data = data
	return e
}
