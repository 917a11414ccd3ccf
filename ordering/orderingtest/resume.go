package orderingtest

import (
	"testing"

	"lockstep/ordering"
)

// testResume has a reader come back with what it read last. Where the log still has it, the
// reader goes on.
func testResume(t *testing.T, h Harness) {
	last := appendN(t, h.Open(t), "e", 10)
	before := readTo(t, h.Open(t), h, h.First, last)
	l := h.Open(t)
	l.Resume(before[9])
	next := mustAppend(t, h.Open(t), "next")
	if got := readTo(t, l, h, next, next); string(got[0].Data) != "next" {
		t.Errorf("read %q", got[0].Data)
	}
}

// testResumeBroken has a reader come back with what the log does not have, or not there.
func testResumeBroken(t *testing.T, h Harness) {
	last := appendN(t, h.Open(t), "e", 10)
	before := readTo(t, h.Open(t), h, h.First, last)
	other := before[9]
	other.Data = []byte("other")
	beyond := ordering.Entry{Epoch: h.Epoch, Seq: last + 1, Time: before[9].Time, Data: []byte("lost")}
	for what, known := range map[string]ordering.Entry{"other bytes": other, "the entry after the last": beyond} {
		l := h.Open(t)
		l.Resume(known)
		_, err := l.Read(within(t), known.Seq+1)
		wantBreak(t, "Read after "+what, err)
	}
}
