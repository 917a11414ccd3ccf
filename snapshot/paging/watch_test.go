package paging

import (
	"bytes"
	"fmt"
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

// Where the kernel writes down where page faults are, a memory of which another page is written each time
// is not looked through, and what was lost for want of room is found.
func TestFaultLog(t *testing.T) {
	if !faultsAreLogged() {
		t.Skip("page faults are not logged here")
	}
	const pages, rounds = 4096, 300
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // it reads every page
		}
		m := open(t, kind, pages*PageSize)
		m.Grow(pages * PageSize)
		for i := range uint32(pages) {
			page(m.Live(), i)[0] = byte(i)
		}
		m.Commit()
		counted := &scans{tracker: m.tracker}
		m.tracker = counted
		stop := m.Watch()
		for n := range uint32(rounds) {
			i := n * 1237 % pages
			page(m.Live(), i)[9] = 1
			if page(m.Live(), i+1)[0] != byte(i+1) { // a fault that is no write
				t.Fatalf("%v: page %d is not what it was", kind, i+1)
			}
			m.Undo()
			if page(m.Live(), i)[9] != 0 {
				t.Fatalf("%v: page %d was not put back in round %d", kind, i, n)
			}
		}
		if counted.n > looksLogged+2 {
			t.Errorf("%v: %d scans in %d rounds", kind, counted.n, rounds)
		}
		for i := range uint32(pages) {
			page(m.Live(), i)[9] = 1
		}
		m.Undo()
		if !bytes.Equal(m.Live(), m.Committed()) {
			t.Errorf("%v: not all of %d pages were put back", kind, pages)
		}
		m.Live()[3*PageSize] = 77
		m.Undo()
		m.Resize(PageSize)
		m.Grow(4 * PageSize)
		m.Live()[3*PageSize] = 78
		if got := fmt.Sprint(m.Commit()); got != "[1 2 3]" {
			t.Errorf("%v: pages %s changed, want those that were added", kind, got)
		}
		stop()
	}
}
