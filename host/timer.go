package host

import (
	"cmp"
	"container/heap"
	"slices"

	"lockstep/audit/canonical"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Timer is one that a guest set: lockstep_timer runs with ID at the first entry
// whose ordered time is at least At. At 0 or below, as a guest may ask it,
// cancels the timer.
type Timer struct {
	_  struct{} `cbor:",toarray"`
	ID int64
	At ordering.Time
}

// timers are those that are pending, one for each id.
type timers struct {
	at    map[int64]ordering.Time
	queue timerQueue // all of them, and some that were cancelled or moved since
}

// set takes over what a call asked for, in order.
func (s *timers) set(asked []Timer) {
	if s.at == nil && len(asked) > 0 {
		s.at = make(map[int64]ordering.Time)
	}
	for _, t := range asked {
		if t.At <= 0 {
			delete(s.at, t.ID)
			continue
		}
		s.at[t.ID] = t.At
		heap.Push(&s.queue, t)
	}
	if len(s.queue) > 2*len(s.at)+len(asked)+64 {
		s.queue = s.records()
		heap.Init(&s.queue)
	}
}

// fits reports whether there would be too many.
func (s *timers) fits(asked []Timer) bool {
	if len(s.at)+len(asked) <= wasmabi.MaxTimers {
		return true
	}
	n, seen := len(s.at), make(map[int64]bool)
	for _, t := range slices.Backward(asked) { // the last word on each id
		if seen[t.ID] {
			continue
		}
		seen[t.ID] = true
		if _, pending := s.at[t.ID]; pending {
			n--
		}
		if t.At > 0 {
			n++
		}
	}
	return n <= wasmabi.MaxTimers
}

// due returns the first timers that are due at a time, by (at, id). They stay
// pending until they are taken.
func (s *timers) due(now ordering.Time, limit int) []Timer {
	var list []Timer
	for len(list) < limit {
		first, ok := s.first()
		if !ok || first.At > now {
			break
		}
		heap.Pop(&s.queue)
		// One that moved away and back is in the queue twice, side by side.
		if n := len(list); n == 0 || list[n-1] != first {
			list = append(list, first)
		}
	}
	return list
}

// take removes a timer that is about to run. ok is false if one that ran before
// it cancelled or moved it.
func (s *timers) take(t Timer) (ok bool) {
	if s.at[t.ID] != t.At {
		return false
	}
	delete(s.at, t.ID)
	return true
}

// first is the timer that is due next.
func (s *timers) first() (Timer, bool) {
	for len(s.queue) > 0 {
		if t := s.queue[0]; s.at[t.ID] == t.At {
			return t, true
		}
		heap.Pop(&s.queue)
	}
	return Timer{}, false
}

// records returns the pending timers ascending by id.
func (s *timers) records() []Timer {
	list := make([]Timer, 0, len(s.at))
	for id, at := range s.at {
		list = append(list, Timer{ID: id, At: at})
	}
	slices.SortFunc(list, func(a, b Timer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func timersOf(records []Timer) timers {
	var s timers
	s.set(records)
	return s
}

// timerQueue is a heap by (at, id).
type timerQueue []Timer

func (q timerQueue) Len() int      { return len(q) }
func (q timerQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q timerQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].At, q[j].At), cmp.Compare(q[i].ID, q[j].ID)) < 0
}

// Push implements heap.Interface.
func (q *timerQueue) Push(t any) { *q = append(*q, t.(Timer)) }

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	*q = (*q)[:last]
	return t
}

// Tick is an entry that asks nothing. A replica appends one when a timer is due
// and nobody else's entry moves ordered time; it has no session, since a second
// one does no harm.
type Tick struct {
	_  struct{}      `cbor:",toarray"`
	At ordering.Time // of the timer that is due
}

// TickFormat is the encoding of an entry with a tick.
const TickFormat canonical.Format = "LSK1"

// Encode returns the entry's data.
func (t Tick) Encode() []byte { return TickFormat.Encode(t) }

// NextTimer is the time of the timer that is due next; ok is false if none is
// pending. Where it is not after ordered time, more timers are due than run
// with one entry.
func (m *Machine) NextTimer() (at ordering.Time, ok bool) {
	t, ok := m.timers.first()
	return t.At, ok
}

// fire runs the timers that are due, before anything that the entry asks.
func (m *Machine) fire(t *Transition) {
	if m.guest == nil {
		return
	}
	run := runner{m: m, t: t}
	for _, due := range m.timers.due(m.time, wasmabi.MaxTimersPerEntry) {
		if t.eventsFull() {
			break // the others run with the next entry
		}
		if m.timers.take(due) {
			run.timer(due)
		}
	}
	run.finish()
}
