package paging

import (
	"bytes"
	"testing"
)

// scans counts those of a tracker.
type scans struct {
	tracker
	n int
}

func (s *scans) peek(from, to uint64, list []uint32) []uint32 {
	if from < to {
		s.n++
	}
	return s.tracker.peek(from, to, list)
}

// While the memory is watched, pages that are written again and again are not looked for, and one
// that is written for the first time is found.
func TestWatch(t *testing.T) {
	const rounds = 200
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // it has nothing to look for
		}
		for name, end := range map[string]func(*Memory){"undo": (*Memory).Undo, "commit": func(m *Memory) { m.Commit() }} {
			m := open(t, kind, testMax)
			if !m.watch.counts {
				t.Errorf("%v: page faults are not counted", kind)
			}
			m.Grow(testMax)
			m.Commit()
			counted := &scans{tracker: m.tracker}
			m.tracker = counted
			want := bytes.Clone(m.Live())
			round := func(n int) {
				for _, at := range []int{7, 9*PageSize + 1} {
					m.Live()[at] = byte(n)
				}
				if n%50 == 49 { // elsewhere
					m.Live()[(20+n/50)*PageSize] = byte(n)
				}
				if name == "commit" {
					copy(want, m.Live())
				}
				end(m)
				if !bytes.Equal(m.Live(), want) || !bytes.Equal(m.Committed(), want) {
					t.Fatalf("%v: the bytes are others after %s %d", kind, name, n)
				}
			}
			stop := m.Watch()
			for n := range rounds {
				round(n)
			}
			stop()
			if counted.n > rounds/4 { // faults of the test itself are among those counted
				t.Errorf("%v: %d scans for %d times %s, with the same pages written", kind, counted.n, rounds, name)
			}
			counted.n = 0
			for n := range rounds {
				round(n)
			}
			if counted.n < rounds {
				t.Errorf("%v: %d scans for %d times %s with nobody watching", kind, counted.n, rounds, name)
			}
		}
	}
}

// What was written once is not put back or committed again while nothing is written.
func TestWatchForgets(t *testing.T) {
	const pages = 2 * maxWarm
	for _, kind := range kinds(t) {
		for name, end := range map[string]func(*Memory){"undo": (*Memory).Undo, "commit": func(m *Memory) { m.Commit() }} {
			m := open(t, kind, pages*PageSize)
			m.Grow(pages * PageSize)
			m.Commit()
			stop := m.Watch()
			for range 2 {
				for at := 0; at < pages*PageSize; at += PageSize {
					m.Live()[at]++
				}
				end(m)
			}
			end(m)
			if len(m.written) > 0 {
				t.Errorf("%v: %d pages are looked at by %s, with none written", kind, len(m.written), name)
			}
			stop()
		}
	}
}
