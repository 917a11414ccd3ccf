//go:build !wasip1

package lockstep

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// Mock is a host for tests of a machine. Its fields are what a Ctx answers.
// It is left out of builds for WebAssembly.
type Mock struct {
	Seq    uint64
	Time   time.Time
	Caller [32]byte
	Seed   [32]byte            // of Random
	Log    []string            // what the machine logged
	Events [][]byte            // what it emitted
	Timers map[int64]time.Time // what is pending

	stream *rand.ChaCha8
}

// Ctx returns a Ctx that asks m.
func (m *Mock) Ctx() *Ctx { return &Ctx{mockHost{m}} }

type mockHost struct{ *Mock }

func (h mockHost) seq() uint64      { return h.Seq }
func (h mockHost) time() int64      { return h.Time.UnixNano() }
func (h mockHost) caller() [32]byte { return h.Caller }
func (h mockHost) log(line string)  { h.Log = append(h.Log, line) }

func (h mockHost) emit(event []byte) { h.Events = append(h.Events, bytes.Clone(event)) }

func (h mockHost) setTimer(id, at int64) {
	if at <= 0 {
		delete(h.Timers, id)
		return
	}
	if h.Timers == nil {
		h.Timers = make(map[int64]time.Time)
	}
	h.Timers[id] = time.Unix(0, at).UTC()
}

func (h mockHost) random(p []byte) {
	if h.stream == nil {
		h.stream = rand.NewChaCha8(h.Seed)
	}
	_, _ = h.stream.Read(p)
}
