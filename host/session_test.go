package host

import (
	"encoding/binary"
	"testing"

	"lockstep/ordering"
)

func head(i int, opened ordering.Seq) Session {
	var s Session
	binary.BigEndian.PutUint64(s.Client[:], uint64(i))
	s.Opened = opened
	return s
}

// A session that was evicted is not opened anew by a retry: it could apply an
// input twice.
func TestEvictedSessionStaysShut(t *testing.T) {
	var s sessions
	seq := ordering.Seq(100)
	for i := range maxSessions + 1 {
		seq++
		if _, ok := s.open(head(i, 99), seq); !ok {
			t.Fatalf("session %d was refused", i)
		}
	}
	if len(s.byClient) != maxSessions {
		t.Fatalf("%d sessions, want %d", len(s.byClient), maxSessions)
	}
	if _, ok := s.open(head(0, 99), seq+1); ok {
		t.Error("the evicted session was opened anew")
	}
	if _, ok := s.open(head(1, 99), seq+1); !ok {
		t.Error("a session that was not evicted is refused")
	}
	if _, ok := s.open(head(1<<20, seq), seq+2); !ok {
		t.Error("a new session is refused")
	}
}

func TestWindowIsBounded(t *testing.T) {
	var s sessions
	w, _ := s.open(head(1, 0), 1)
	for n := uint64(1); n <= maxWindow+10; n++ {
		s.remember(w, Receipt{Number: n, Output: make([]byte, 10)})
	}
	if len(w.receipts) != maxWindow || w.floor != 11 {
		t.Errorf("window has %d receipts and floor %d", len(w.receipts), w.floor)
	}
	if r, known := w.lookup(10); !known || Refusal(r.Code) != RefusedTooLate {
		t.Errorf("forgotten number: %+v %v, want too late", r, known)
	}
	if r, known := w.lookup(11); !known || !r.Duplicate {
		t.Errorf("kept number: %+v %v, want its receipt", r, known)
	}
	s.remember(w, Receipt{Number: maxWindow + 11, Output: make([]byte, maxWindowBytes)})
	if w.bytes > maxWindowBytes || s.bytes != w.bytes {
		t.Errorf("window has %d bytes, all sessions %d", w.bytes, s.bytes)
	}
	s.raise(w, 1<<60)
	if len(w.receipts) != 0 || s.bytes != 0 {
		t.Errorf("after the floor passed all: %d receipts, %d bytes", len(w.receipts), s.bytes)
	}
}
