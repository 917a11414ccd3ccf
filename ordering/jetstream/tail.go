package jetstream

import (
	"sync"

	"lockstep/ordering"
)

// Limits of what is kept of the republished entries until it is read. What does
// not fit is fetched again later.
const (
	tailEntries = 8192
	tailBytes   = 16 << 20
)

// tail holds republished entries, a run without gaps, until they are read. They
// arrive on a goroutine of the connection.
type tail struct {
	mu      sync.Mutex
	run     []ordering.Entry
	bytes   int
	highest ordering.Seq // ever seen
	odd     bool         // a position came twice or went back since doubt was asked
	wake    chan struct{}
}

func newTail() *tail { return &tail{wake: make(chan struct{}, 1)} }

// push takes an entry in and wakes the reader. One that does not follow the run is
// dropped: the reader fetches what lies between anyway.
func (t *tail) push(e ordering.Entry) {
	t.mu.Lock()
	if e.Seq <= t.highest {
		t.odd = true
	}
	t.highest = max(t.highest, e.Seq)
	follows := len(t.run) == 0 || e.Seq == t.run[len(t.run)-1].Seq+1
	if follows && len(t.run) < tailEntries && t.bytes+len(e.Data) <= tailBytes {
		t.run = append(t.run, e)
		t.bytes += len(e.Data)
	}
	t.mu.Unlock()
	t.signal()
}

// signal wakes the reader without an entry.
func (t *tail) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take hands over the entries from position from on, up to n of them, and forgets
// those before. gap says that there are none, but later ones.
func (t *tail) take(from ordering.Seq, n int) (out []ordering.Entry, gap bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.odd {
		return nil, true // what came since doubt was asked may be of another log
	}
	if len(t.run) == 0 {
		return nil, false
	}
	first := t.run[0].Seq
	if from < first {
		return nil, true
	}
	skip := len(t.run)
	if d := from - first; d < ordering.Seq(skip) {
		skip = int(d)
	}
	end := min(len(t.run), skip+n)
	for _, e := range t.run[:end] {
		t.bytes -= len(e.Data)
	}
	out = t.run[skip:end:end]
	if t.run = t.run[end:]; len(t.run) == 0 {
		t.run = nil
	}
	return out, false
}

// doubt tells once that positions came which a log that only grows does not
// give out.
func (t *tail) doubt() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	odd := t.odd
	t.odd = false
	return odd
}
