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
	receipts []Receipt // ascending by number
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
		w = &session{}
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

// find tells where the receipt of a number is, or would be. Clients count up, so
// that it is behind all others most times.
func (w *session) find(number uint64) (at int, ok bool) {
	if n := len(w.receipts); n == 0 || w.receipts[n-1].Number < number {
		return n, false
	}
	return slices.BinarySearchFunc(w.receipts, number, func(r Receipt, n uint64) int { return cmp.Compare(r.Number, n) })
}

// lookup returns the receipt of an input that was applied before, or of one
// that is refused because nobody knows any more.
func (w *session) lookup(number uint64) (Receipt, bool) {
	if number < w.floor {
		return refused(number, RefusedTooLate, ""), true
	}
	at, ok := w.find(number)
	if !ok {
		return Receipt{}, false
	}
	r := w.receipts[at]
	r.Duplicate = true
	return r, true
}

// remember keeps the receipt of an input that was applied just now, and
// forgets the lowest numbers past the window.
func (s *sessions) remember(w *session, r Receipt) {
	at, _ := w.find(r.Number)
	w.receipts = slices.Insert(w.receipts, at, r)
	w.bytes += len(r.Output)
	s.bytes += len(r.Output)
	for len(w.receipts) > maxWindow || w.bytes > maxWindowBytes {
		s.raise(w, w.receipts[0].Number+1)
	}
}

// raise forgets the receipts below floor. It never lowers the floor.
func (s *sessions) raise(w *session, floor uint64) {
	if floor <= w.floor {
		return
	}
	w.floor = floor
	n, _ := w.find(floor)
	if n == 0 {
		return
	}
	for _, r := range w.receipts[:n] {
		w.bytes -= len(r.Output)
		s.bytes -= len(r.Output)
	}
	if n < len(w.receipts)/2 {
		clear(w.receipts[:n])
		w.receipts = w.receipts[n:] // whose room goes when they are copied next
		return
	}
	w.receipts = slices.Delete(w.receipts, 0, n)
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

// records returns the sessions ascending by client. They share the receipts.
func (s *sessions) records() []sessionRecord {
	list := make([]sessionRecord, 0, len(s.byClient))
	for _, c := range s.clients(func(a, b ClientID) int { return bytes.Compare(a[:], b[:]) }) {
		w := s.byClient[c]
		list = append(list, sessionRecord{Client: c, Floor: w.floor, Used: w.used, Receipts: w.receipts})
	}
	return list
}

func sessionsOf(records []sessionRecord, evicted ordering.Seq) sessions {
	s := sessions{byClient: make(map[ClientID]*session, len(records)), evicted: evicted}
	for _, r := range records {
		w := &session{floor: r.Floor, used: r.Used, receipts: r.Receipts}
		for i := range r.Receipts {
			w.bytes += len(r.Receipts[i].Output)
		}
		s.bytes += w.bytes
		s.byClient[r.Client] = w
	}
	return s
}

// applied reports whether a receipt is of an input that counts as applied, so
// that its retry must get it again. A refusal by the host is not.
func applied(r Receipt) bool { return r.Status != wasmabi.Refused }
