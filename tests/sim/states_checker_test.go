package sim

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
)

// statesChecker sees what replicas state about their states, and at the end the
// states themselves: all chains and roots are equal.
type statesChecker struct {
	t     *testing.T
	wrong func(format string, args ...any) // is told what is found; t.Errorf

	mu      sync.Mutex
	excused map[audit.ReplicaID]bool // the log lied to these
	members audit.Members
	records []audit.Record
	last    *ending
	sums    map[string]int64 // of the counters, at the end
}

type ending struct {
	position string
	root     audit.Digest
}

func newStatesChecker(conn *nats.Conn, t *testing.T) *statesChecker {
	t.Helper()
	s := &statesChecker{t: t, wrong: t.Errorf, excused: make(map[audit.ReplicaID]bool), sums: make(map[string]int64)}
	if _, err := conn.Subscribe(host.AuditSubject(machine), func(m *nats.Msg) {
		var r audit.Record
		if audit.RecordFormat.Decode(m.Data, &r) == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records = append(s.records, r)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *statesChecker) know(m audit.Members) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = m
}

// excuse leaves a replica out that the log lied to.
func (s *statesChecker) excuse(r audit.ReplicaID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excused[r] = true
}

// check compares all that was stated, and wants that something was.
func (s *statesChecker) check() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	type stated struct {
		by audit.ReplicaID
		audit.State
	}
	first := make(map[audit.Position]stated)
	agreed := 0
	for _, r := range s.records {
		key, voter := s.members.Voter(r.Replica)
		if s.excused[r.Replica] || !voter || r.Verify(key) != nil {
			continue
		}
		at, state := audit.Position{Epoch: r.Epoch, Seq: r.Seq}, audit.State{Chain: r.Chain, Root: r.Root}
		f, known := first[at]
		switch {
		case !known:
			first[at] = stated{r.Replica, state}
		case f.State != state:
			s.wrong("at %v %s states %v and %s states %v", at, f.by, f.State, r.Replica, state)
		case f.by != r.Replica:
			agreed++
		}
	}
	if agreed == 0 {
		s.t.Error("no two replicas stated the state at one seq")
	}
}

// end takes the state of a replica at the end of the log. It runs in the
// replica's loop.
func (s *statesChecker) end(by audit.ReplicaID, m *host.Machine, counters []string) {
	if err := m.Rehash(); err != nil {
		s.t.Error(err)
	}
	e := ending{fmt.Sprint(m.Position()), m.Root()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = &e
	}
	if *s.last != e {
		s.wrong("%s ends at %+v, another replica at %+v", by, e, *s.last)
	}
	for _, name := range counters {
		got := int64(0)
		if v, ok, err := kv.DecodeGet(m.Query(kv.Get(name), host.ClientID{}).Output); ok && err == nil {
			got, _ = kv.DecodeNumber(v)
		}
		s.sums[name] = got
	}
}
