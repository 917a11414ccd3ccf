package memlog

import (
	"sync"
	"time"

	"lockstep/ordering"
)

// Config is what a Server is made with. The zero value is epoch 1, from position 1,
// without bound or faults.
type Config struct {
	Epoch    ordering.Epoch
	First    ordering.Seq
	MaxBytes int // 0 means no bound
	Seed     uint64
	Faults   Faults
	// Founding has nobody append until a Founding's Open.
	Founding bool
}

// entryOverhead is what an entry counts against MaxBytes besides its data.
const entryOverhead = 32

// Server keeps one log.
type Server struct {
	epoch    ordering.Epoch
	origin   ordering.Seq
	maxBytes int

	mu      sync.Mutex
	id      int // changes when the log is created anew
	first   ordering.Seq
	entries []ordering.Entry // at first and on; their bytes never change
	bytes   int
	clock   ordering.Time
	down    bool
	closed  bool // nobody may append as yet
	faults  Faults
	dice    dice
	changed chan struct{} // closed when anything above changes
}

// New returns an empty log.
func New(c Config) *Server {
	s := &Server{epoch: max(c.Epoch, 1), origin: max(c.First, 1), maxBytes: c.MaxBytes,
		faults: c.Faults, dice: newDice(c.Seed), changed: make(chan struct{})}
	s.first, s.closed = s.origin, c.Founding
	return s
}

// Open returns a handle on the log as it is now.
func (s *Server) Open() *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Log{s: s, id: s.id, closed: make(chan struct{}), lies: make(map[ordering.Seq][]byte)}
}

// SetFaults changes what goes wrong from now on.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// SetDown stops the sequencer, or starts it again: appends fail with ErrDown, reads wait.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	s.notify()
}

// Recreate drops the log and starts it anew under its name.
func (s *Server) Recreate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id++
	s.first, s.entries, s.bytes = s.origin, nil, 0
	s.notify()
}

// Forget drops all entries after last.
func (s *Server) Forget(last ordering.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(last)
	s.notify()
}

// Rewrite puts other bytes at a position, for all readers. It does nothing if
// the position is not there.
func (s *Server) Rewrite(seq ordering.Seq, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has(seq) {
		e := &s.entries[seq-s.first]
		s.bytes += len(data) - len(e.Data)
		e.Data = append([]byte(nil), data...)
	}
	s.notify()
}

// last is the newest position. The caller holds mu, as for all below.
func (s *Server) last() ordering.Seq { return s.first + ordering.Seq(len(s.entries)) - 1 }

func (s *Server) has(seq ordering.Seq) bool { return seq >= s.first && seq <= s.last() }

func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) forget(last ordering.Seq) {
	last = max(last, s.first-1)
	for s.last() > last {
		e := s.entries[len(s.entries)-1]
		s.bytes -= len(e.Data) + entryOverhead
		s.entries = s.entries[:len(s.entries)-1]
	}
}

func (s *Server) truncate(first ordering.Seq) {
	first = min(first, s.last())
	if first <= s.first {
		return
	}
	n := int(first - s.first)
	for _, e := range s.entries[:n] {
		s.bytes -= len(e.Data) + entryOverhead
	}
	s.entries = append([]ordering.Entry(nil), s.entries[n:]...)
	s.first = first
}

// order appends data with the faults that it meets.
func (s *Server) order(data []byte) (ordering.Seq, error) {
	f, d := s.faults, s.dice
	if s.down || s.closed || d.hit(f.Refuse) {
		return 0, ErrDown
	}
	if s.maxBytes > 0 && s.bytes+len(data)+entryOverhead > s.maxBytes {
		return 0, ordering.ErrFull
	}
	if d.hit(f.DropEntry) {
		return 0, ErrNoAck
	}
	now := ordering.Time(time.Now().UnixNano())
	if d.hit(f.StepBack) {
		now = s.clock - ordering.Time(d.upTo(f.StepTime))
	}
	s.clock = now
	seq := s.put(data, now)
	if d.hit(f.Duplicate) {
		s.put(data, now)
	}
	if d.hit(f.Rewrite) {
		i := len(s.entries) - d.some(min(RecentEntries, len(s.entries)))
		s.entries[i] = d.flip(s.entries[i])
	}
	if d.hit(f.Forget) {
		s.forget(s.last() - ordering.Seq(d.some(min(RecentEntries, len(s.entries)))))
	}
	s.notify()
	if d.hit(f.DropAck) {
		return 0, ErrNoAck
	}
	return seq, nil
}

func (s *Server) put(data []byte, at ordering.Time) ordering.Seq {
	e := ordering.Entry{Epoch: s.epoch, Seq: s.last() + 1, Time: at, Data: append([]byte(nil), data...)}
	s.entries = append(s.entries, e)
	s.bytes += len(data) + entryOverhead
	return e.Seq
}
