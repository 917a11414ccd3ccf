package lockstep

import "time"

// Ctx is what a machine may know about the input that it runs. It is valid
// until the method that got it returns.
type Ctx struct{ host host }

// host is where a Ctx gets its answers: the functions that the guest imports,
// or a mock.
type host interface {
	seq() uint64
	time() int64
	caller() [32]byte
	random(p []byte)
	emit(event []byte)
	setTimer(id, at int64)
	log(line string)
}

// Seq is the position of the input's entry in the log. Several inputs may share
// an entry.
func (c *Ctx) Seq() uint64 { return c.host.seq() }

// Time is when the entry was ordered, in UTC, the same on all replicas. It never
// goes back, and is equal for all inputs of an entry.
func (c *Ctx) Time() time.Time { return time.Unix(0, c.host.time()).UTC() }

// Caller is the id of the client that asks.
func (c *Ctx) Caller() [32]byte { return c.host.caller() }

// Random fills p with bytes that are the same on all replicas and that no
// client could know before the input was ordered.
func (c *Ctx) Random(p []byte) { c.host.random(p) }

// Emit tells whoever subscribes to the machine, if the input is accepted. An
// input may emit 256 events of 64 KiB together.
func (c *Ctx) Emit(event []byte) { c.host.emit(event) }

// SetTimer has Timer called with id at the first entry ordered at or after at.
// Setting it again moves it. The machine must be Timed, and have at most 16,384
// timers pending.
func (c *Ctx) SetTimer(id int64, at time.Time) { c.host.setTimer(id, max(at.UnixNano(), 1)) }

// StopTimer cancels a timer, if it is pending.
func (c *Ctx) StopTimer(id int64) { c.host.setTimer(id, 0) }

// Log tells the operator of a replica. It is no part of the state.
func (c *Ctx) Log(line string) { c.host.log(line) }
