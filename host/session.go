package host

import (
	"bytes"
	"cmp"
	"slices"

	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Bounds of what is remembered for retries. They are part of the state
// machine: all replicas evict alike.
const (
	maxSessions      = 4096
	maxWindow        = 4096    // receipts of one session
	maxWindowBytes   = 4 << 20 // their outputs together
	maxSessionsBytes = 64 << 20
)

// sessions are the clients whose retries are recognised.
type sessions struct {
	byClient map[ClientID]*session
	bytes    int          // outputs of all windows together
	evicted  ordering.Seq // newest use of any session that was evicted
}

// session is the window of one client: the receipts of the inputs at or above
// its floor that were applied.
type session struct {
	floor    uint64
	used     ordering.Seq
	receipts map[uint64]Receipt
	bytes    int
}

// open finds or makes the session that an entry at seq speaks for. ok is false
// if it was, or may have been, evicted.
func (s *sessions) open(head Session, seq ordering.Seq) (w *session, ok bool) {
	w = s.byClient[head.Client]
	if w == nil {
		if head.Opened < s.evicted {
			return nil, false
		}
		w = &session{receipts: make(map[uint64]Receipt)}
		if s.byClient == nil {
			s.byClient = make(map[ClientID]*session)
		}
		s.byClient[head.Client] = w
	}
	w.used = seq
	s.raise(w, head.Floor)
	s.evict(head.Client)
	return w, true
}

// lookup returns the receipt of an input that was applied before, or of one
// that is refused because nobody knows any more.
func (w *session) lookup(number uint64) (Receipt, bool) {
	if number < w.floor {
		return refused(number, RefusedTooLate, ""), true
	}
	r, ok := w.receipts[number]
	if ok {
		r.Duplicate = true
	}
	return r, ok
}

// remember keeps the receipt of an input that was applied just now, and
// forgets the lowest numbers past the window.
func (s *sessions) remember(w *session, r Receipt) {
	w.receipts[r.Number] = r
	w.bytes += len(r.Output)
	s.bytes += len(r.Output)
	if len(w.receipts) <= maxWindow && w.bytes <= maxWindowBytes {
		return
	}
	for _, number := range w.numbers() {
		if len(w.receipts) <= maxWindow && w.bytes <= maxWindowBytes {
			return
		}
		s.raise(w, number+1)
	}
}

// raise forgets the receipts below floor. It never lowers the floor.
func (s *sessions) raise(w *session, floor uint64) {
	if floor <= w.floor {
		return
	}
	if floor-w.floor < uint64(len(w.receipts)) {
		for n := w.floor; n < floor; n++ {
			s.forget(w, n)
		}
	} else {
		for _, n := range w.numbers() {
			if n < floor {
				s.forget(w, n)
			}
		}
	}
	w.floor = floor
}

func (s *sessions) forget(w *session, number uint64) {
	n := len(w.receipts[number].Output)
	w.bytes -= n
	s.bytes -= n
	delete(w.receipts, number)
}

// numbers returns the input numbers of the window, ascending.
func (w *session) numbers() []uint64 {
	numbers := make([]uint64, 0, len(w.receipts))
	for n := range w.receipts {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// evict drops the sessions that were not used for longest until the bounds
// hold, but never the one in use.
func (s *sessions) evict(inUse ClientID) {
	if len(s.byClient) <= maxSessions && s.bytes <= maxSessionsBytes {
		return
	}
	for _, c := range s.clients(func(a, b ClientID) int {
		return cmp.Or(cmp.Compare(s.byClient[a].used, s.byClient[b].used), bytes.Compare(a[:], b[:]))
	}) {
		if len(s.byClient) <= maxSessions && s.bytes <= maxSessionsBytes {
			return
		}
		if c == inUse {
			continue
		}
		w := s.byClient[c]
		s.evicted = max(s.evicted, w.used)
		s.bytes -= w.bytes
		delete(s.byClient, c)
	}
}

func (s *sessions) clients(order func(a, b ClientID) int) []ClientID {
	clients := make([]ClientID, 0, len(s.byClient))
	for c := range s.byClient {
		clients = append(clients, c)
	}
	slices.SortFunc(clients, order)
	return clients
}

// sessionRecord is a session in the encoded system state.
type sessionRecord struct {
	_        struct{} `cbor:",toarray"`
	Client   ClientID
	Floor    uint64
	Used     ordering.Seq
	Receipts []Receipt // ascending by number
}

// records returns the sessions ascending by client.
func (s *sessions) records() []sessionRecord {
	list := make([]sessionRecord, 0, len(s.byClient))
	for _, c := range s.clients(func(a, b ClientID) int { return bytes.Compare(a[:], b[:]) }) {
		w := s.byClient[c]
		r := sessionRecord{Client: c, Floor: w.floor, Used: w.used}
		for _, n := range w.numbers() {
			r.Receipts = append(r.Receipts, w.receipts[n])
		}
		list = append(list, r)
	}
	return list
}

func sessionsOf(records []sessionRecord, evicted ordering.Seq) sessions {
	s := sessions{byClient: make(map[ClientID]*session, len(records)), evicted: evicted}
	for _, r := range records {
		w := &session{floor: r.Floor, used: r.Used, receipts: make(map[uint64]Receipt, len(r.Receipts))}
		for _, receipt := range r.Receipts {
			w.receipts[receipt.Number] = receipt
			w.bytes += len(receipt.Output)
		}
		s.bytes += w.bytes
		s.byClient[r.Client] = w
	}
	return s
}

// applied reports whether a receipt is of an input that counts as applied, so
// that its retry must get it again. A refusal by the host is not.
func applied(r Receipt) bool { return r.Status != wasmabi.Refused }
