package memlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/orderingtest"
)

func TestConformance(t *testing.T) {
	for name, c := range map[string]Config{
		"Plain":  {},
		"Epoch7": {Epoch: 7, First: 100},
		"Slow":   {Seed: 1, Faults: Faults{Delay: 200 * time.Microsecond, ShortRead: 500}},
	} {
		t.Run(name, func(t *testing.T) {
			orderingtest.Run(t, func(t *testing.T) orderingtest.Harness { return harness(New(c), c) })
		})
	}
}

func harness(s *Server, c Config) orderingtest.Harness {
	next := New(Config{Epoch: s.epoch + 2, First: 100, Founding: true, Seed: c.Seed, Faults: c.Faults})
	return orderingtest.Harness{
		Next: &orderingtest.Next{
			Epoch: next.epoch, First: next.origin,
			Found: func(*testing.T) ordering.Founding { return next.Found() },
			Open:  func(*testing.T) ordering.Log { return next.Open() },
		},
		Epoch:    s.epoch,
		First:    s.origin,
		Open:     func(*testing.T) ordering.Log { return s.Open() },
		Recreate: func(*testing.T) { s.Recreate() },
		Forget:   func(_ *testing.T, last ordering.Seq) { s.Forget(last) },
		Restart: func(*testing.T) {
			s.SetDown(true)
			s.SetDown(false)
		},
		Full: func(*testing.T) ordering.Log {
			c.MaxBytes = 1 << 20
			return New(c).Open()
		},
	}
}

// TestFaultsHappen meets each kind of fault alone, on every append, and checks that it
// does what it says and nothing else.
func TestFaultsHappen(t *testing.T) {
	for name, c := range map[string]struct {
		faults Faults
		err    error    // of Append("a") and Append("b")
		log    []string // what is there afterwards
	}{
		"none":       {Faults{}, nil, []string{"a", "b"}},
		"refuse":     {Faults{Refuse: 1000}, ErrDown, nil},
		"drop entry": {Faults{DropEntry: 1000}, ErrNoAck, nil},
		"drop ack":   {Faults{DropAck: 1000}, ErrNoAck, []string{"a", "b"}},
		"duplicate":  {Faults{Duplicate: 1000}, nil, []string{"a", "a", "b", "b"}},
		"forget":     {Faults{Forget: 1000}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{Faults: c.faults})
			l := s.Open()
			for _, data := range []string{"a", "b"} {
				if _, err := l.Append(t.Context(), []byte(data)); !errors.Is(err, c.err) {
					t.Errorf("Append(%s): %v, want %v", data, err, c.err)
				}
			}
			var got []string
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, e := range s.entries {
				got = append(got, string(e.Data))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.log) {
				t.Errorf("log is %q, want %q", got, c.log)
			}
		})
	}
}

func TestStepBack(t *testing.T) {
	l := New(Config{Faults: Faults{StepBack: 500, StepTime: time.Hour}}).Open()
	for range 50 {
		if _, err := l.Append(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	back := 0
	for i, e := range got[1:] {
		if e.Time < got[i].Time {
			back++
		}
	}
	if back == 0 {
		t.Error("time never stepped back")
	}
}

// TestForkIsSeenByTheChainAlone tells two handles different things: neither can notice,
// their chains differ.
func TestForkIsSeenByTheChainAlone(t *testing.T) {
	s := New(Config{})
	a, b := s.Open(), s.Open()
	b.Rewrite(2, []byte("other"))
	for _, data := range []string{"one", "two", "three"} {
		if _, err := a.Append(t.Context(), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	var chains [2]ordering.Chain
	for i, l := range []*Log{a, b} {
		for next := ordering.Seq(1); next <= 3; next++ {
			got, err := l.Read(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			chains[i] = chains[i].Next(got[0])
		}
	}
	if chains[0] == chains[1] {
		t.Error("the chains are equal")
	}
}

// TestRewriteOfWhatWasRead changes the entry that a handle read last.
func TestRewriteOfWhatWasRead(t *testing.T) {
	s := New(Config{})
	l := s.Open()
	if _, err := l.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Rewrite(1, []byte("two"))
	_, err := l.Read(t.Context(), 2)
	if br := new(*ordering.BreakError); !errors.As(err, br) || !strings.Contains(err.Error(), "rewritten") {
		t.Errorf("Read: %v, want a break", err)
	}
}

// TestPositionGivenOutAgain loses the tail and appends before anybody reads.
func TestPositionGivenOutAgain(t *testing.T) {
	s := New(Config{})
	l := s.Open()
	for range 5 {
		if _, err := l.Append(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Read(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Forget(2)
	_, err := l.Append(t.Context(), []byte("at 3, once more"))
	if br := new(*ordering.BreakError); !errors.As(err, br) {
		t.Errorf("Append: %v, want a break", err)
	}
}

// TestSeedDecides runs one sequence of appends with all faults, twice with one seed
// and once with another, in fake time.
func TestSeedDecides(t *testing.T) {
	run := func(seed uint64) string {
		var out strings.Builder
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := New(Config{Seed: seed, Faults: Faults{Refuse: 50, DropEntry: 50, DropAck: 50, Duplicate: 50,
				StepBack: 50, StepTime: time.Second, Rewrite: 50, Forget: 50, Delay: time.Second}})
			l := s.Open()
			for i := range 200 {
				seq, err := l.Append(t.Context(), fmt.Appendf(nil, "entry %d", i))
				fmt.Fprintln(&out, seq, err)
			}
			for _, e := range s.entries {
				fmt.Fprintln(&out, e)
			}
			fmt.Fprintln(&out, time.Since(start))
		})
		return out.String()
	}
	a, b, other := run(1), run(1), run(2)
	if a != b {
		t.Error("one seed gave two runs")
	}
	if a == other {
		t.Error("two seeds gave one run")
	}
}

// TestWaitersInFakeTime has a reader wait through an outage of an hour.
func TestWaitersInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Faults: Faults{Delay: time.Minute}})
		w, r := s.Open(), s.Open()
		s.SetDown(true)
		done := make(chan error, 1)
		go func() {
			got, err := r.Read(t.Context(), 1)
			if err == nil && string(got[0].Data) != "after" {
				err = fmt.Errorf("got %q", got[0].Data)
			}
			done <- err
		}()
		time.Sleep(time.Hour)
		if _, err := w.Append(t.Context(), []byte("during")); !errors.Is(err, ErrDown) {
			t.Errorf("Append while down: %v, want ErrDown", err)
		}
		s.SetDown(false)
		if _, err := w.Append(t.Context(), []byte("after")); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
