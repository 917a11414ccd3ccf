package engine

import (
	"math"

	"lockstep/ordering"
)

// clockStep is what the WASI clock moves at each read, in nanoseconds. A clock
// that stood still would make Go's garbage collector yield without end.
const clockStep = 1000

// clock is the WASI clock in nanoseconds since 1970: never less than ordered
// time, and more after each read. It is state: guests keep what they read.
type clock struct{ last uint64 }

// read returns the time and moves the clock.
func (c *clock) read(now ordering.Time) uint64 {
	c.advance(clockStep)
	c.last = max(c.last, uint64(max(now, 0)))
	return c.last
}

// advance moves the clock as if a guest had slept. It stops at the largest
// ordered time.
func (c *clock) advance(by uint64) {
	if by > math.MaxInt64-min(c.last, math.MaxInt64) {
		c.last = math.MaxInt64
		return
	}
	c.last += by
}
