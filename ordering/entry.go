package ordering

import "time"

// Seq is a position in the log of one epoch. The first entry has Seq 1.
type Seq uint64

// Epoch is an incarnation of a machine's log. The first is 1.
type Epoch uint64

// Time is ordered time: nanoseconds since 1970 UTC, stamped by the sequencer
// into the entry itself, so that every reader sees the same.
// It may step back between entries; the machine clamps it.
type Time int64

// Std converts to the standard library's time, in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Entry is one position of the log. Data is opaque here.
type Entry struct {
	Epoch Epoch
	Seq   Seq
	Time  Time
	Data  []byte
}

// MaxEntry is the largest Data in bytes. It leaves room for headers under
// NATS's default max_payload of 1 MiB.
const MaxEntry = 1<<20 - 16<<10
