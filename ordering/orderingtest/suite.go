package orderingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lockstep/ordering"
)

type test struct {
	name string
	run  func(*testing.T, Harness)
}

// Run runs the suite. fresh makes a new log for each test.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	tests := []test{
		{"Order", testOrder},
		{"Bytes", testBytes},
		{"Readers", testReaders},
		{"ReadersOfOneHandle", testReadersOfOneHandle},
		{"BlockingRead", testBlockingRead},
		{"StartInTheMiddle", testStartInTheMiddle},
		{"Cancel", testCancel},
		{"ConcurrentAppend", testConcurrentAppend},
		{"Ownership", testOwnership},
		{"TooLarge", testTooLarge},
		{"State", testState},
		{"Truncate", testTruncate},
		{"TruncateNeverBeyondLast", testTruncateClamped},
		{"TruncateUnderAppend", testTruncateUnderAppend},
		{"Resume", testResume},
		{"ResumeBroken", testResumeBroken},
		{"Close", testClose},
	}
	h := fresh(t)
	if h.Full != nil {
		tests = append(tests, test{"Full", testFull})
	}
	if h.Recreate != nil {
		tests = append(tests, test{"Recreate", testRecreate}, test{"RecreateBlocked", testRecreateBlocked})
	}
	if h.Forget != nil {
		tests = append(tests, test{"Forget", testForget})
	}
	if h.Restart != nil {
		tests = append(tests, test{"Restart", testRestart})
	}
	if h.Next != nil {
		tests = append(tests, foundingTests...)
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

func testOrder(t *testing.T, h Harness) {
	l := h.Open(t)
	for i := range ordering.Seq(50) {
		if got, want := mustAppend(t, l, fmt.Sprint(i)), h.First+i; got != want {
			t.Fatalf("Append: position %d, want %d", got, want)
		}
	}
	for i, e := range readTo(t, l, h, h.First, h.First+49) {
		if got, want := string(e.Data), fmt.Sprint(i); got != want {
			t.Errorf("entry %d: got %q, want %q", e.Seq, got, want)
		}
		if e.Time <= 0 {
			t.Errorf("entry %d has no time", e.Seq)
		}
	}
}

func testBytes(t *testing.T, h Harness) {
	l, other := h.Open(t), h.Open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	want := [][]byte{nil, {0}, []byte("\r\n"), []byte("NATS/1.0 404\r\n\r\n"), every,
		bytes.Repeat([]byte{0xa5}, ordering.MaxEntry)}
	for _, data := range want {
		if _, err := l.Append(within(t), data); err != nil {
			t.Fatalf("Append of %d bytes: %v", len(data), err)
		}
	}
	for _, r := range []ordering.Log{l, other} {
		for i, e := range readTo(t, r, h, h.First, h.First+ordering.Seq(len(want))-1) {
			if !bytes.Equal(e.Data, want[i]) {
				t.Errorf("entry %d: %d bytes differ from the %d appended", e.Seq, len(e.Data), len(want[i]))
			}
		}
	}
}

// testReaders reads from several handles, some before, some while and some after
// the entries are appended, in other steps: all must get the same.
func testReaders(t *testing.T, h Harness) {
	const n = 300
	w := h.Open(t)
	last := h.First + n - 1
	got := make([][]ordering.Entry, 4)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	ctx := within(t)
	for i := range got[1:] {
		r := h.Open(t)
		wg.Go(func() { got[i], errs[i] = tryReadTo(ctx, r, h, h.First, last) })
	}
	appendN(t, w, "e", n)
	wg.Wait()
	got[3] = readTo(t, h.Open(t), h, h.First, last)
	for i, g := range got {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		sameEntries(t, fmt.Sprint("reader ", i), g, got[3])
	}
	sameEntries(t, "from the middle", readTo(t, w, h, h.First+100, last), got[3][100:])
	sameEntries(t, "again from the start", readTo(t, w, h, h.First, last), got[3])
}

func testReadersOfOneHandle(t *testing.T, h Harness) {
	const n = 100
	l := h.Open(t)
	last := h.First + n - 1
	appendN(t, l, "early", 30) // nobody asks for what is further than the next
	got := make([][]ordering.Entry, 3)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	ctx := within(t)
	for i := range got {
		wg.Go(func() { got[i], errs[i] = tryReadTo(ctx, l, h, h.First+ordering.Seq(10*i), last) })
	}
	appendN(t, l, "late", n-30)
	wg.Wait()
	for i := range got {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		sameEntries(t, fmt.Sprint("reader ", i), got[i], got[0][10*i:])
	}
}

func testBlockingRead(t *testing.T, h Harness) {
	r, w := h.Open(t), h.Open(t)
	for i := range 5 {
		want := fmt.Sprint("late ", i)
		seq := h.First + ordering.Seq(i)
		type result struct {
			got []ordering.Entry
			err error
		}
		done := make(chan result, 1)
		ctx := within(t)
		go func() {
			got, err := r.Read(ctx, seq)
			done <- result{got, err}
		}()
		mustAppend(t, w, want)
		res := <-done
		if res.err != nil || len(res.got) != 1 || string(res.got[0].Data) != want {
			t.Fatalf("Read: %v, %v, want %q", res.got, res.err, want)
		}
	}
}

// testStartInTheMiddle opens a handle that reads on from where another left off.
func testStartInTheMiddle(t *testing.T, h Harness) {
	w := h.Open(t)
	appendN(t, w, "e", 10)
	r := h.Open(t)
	readTo(t, r, h, h.First+9, h.First+9)
	appendN(t, w, "f", 10)
	got := readTo(t, r, h, h.First+10, h.First+19)
	if string(got[0].Data) != "f0" {
		t.Errorf("entry %d: %q, want %q", got[0].Seq, got[0].Data, "f0")
	}
}

func testCancel(t *testing.T, h Harness) {
	l := h.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := l.Read(ctx, h.First)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v, want context.Canceled", err)
	}
	if _, err := l.Read(ctx, h.First); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with a canceled context: %v, want context.Canceled", err)
	}
	// The handle is as good as before.
	mustAppend(t, l, "after")
	if got := readTo(t, l, h, h.First, h.First); string(got[0].Data) != "after" {
		t.Errorf("got %q after the cancel", got[0].Data)
	}
}

// testConcurrentAppend appends from several goroutines and handles at once. Each
// position is acknowledged once, and what is read there is what was appended.
func testConcurrentAppend(t *testing.T, h Harness) {
	const writers, each = 8, 40
	handles := []ordering.Log{h.Open(t), h.Open(t)}
	var mu sync.Mutex
	acked := map[ordering.Seq]string{}
	var wg sync.WaitGroup
	ctx := within(t)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				data := fmt.Sprintf("w%d-%d", w, i)
				seq, err := handles[w%2].Append(ctx, []byte(data))
				mu.Lock()
				if old, dup := acked[seq]; err != nil || dup {
					t.Errorf("Append(%s) = %d, %v; the position was %q's", data, seq, err, old)
				}
				acked[seq] = data
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	next := make([]int, writers)
	for _, e := range readTo(t, h.Open(t), h, h.First, h.First+writers*each-1) {
		if got, want := string(e.Data), acked[e.Seq]; got != want {
			t.Errorf("entry %d: got %q, want %q as acknowledged", e.Seq, got, want)
		}
		var w, i int
		if _, err := fmt.Sscanf(string(e.Data), "w%d-%d", &w, &i); err != nil || i != next[w] {
			t.Errorf("entry %d: %q, want the writer's entry %d: one that waits for each answer is in order", e.Seq, e.Data, next[w])
		}
		next[w]++
	}
}

func testOwnership(t *testing.T, h Harness) {
	l, other := h.Open(t), h.Open(t)
	data := []byte("original")
	if _, err := l.Append(within(t), data); err != nil {
		t.Fatal(err)
	}
	copy(data, "XXXXXXXX")
	mustAppend(t, l, "second")
	for range 2 {
		for _, r := range []ordering.Log{l, other} {
			got := readTo(t, r, h, h.First, h.First+1)
			if string(got[0].Data) != "original" || string(got[1].Data) != "second" {
				t.Fatalf("got %q, %q", got[0].Data, got[1].Data)
			}
			copy(got[0].Data, "YYYYYYYY")
			_ = append(got[0].Data, 'Z')
			copy(got[1].Data, "YYYYYYYY")
		}
	}
	mustAppend(t, l, "third") // the handle has not taken the change for its own
	readTo(t, l, h, h.First+2, h.First+2)
}

func testTooLarge(t *testing.T, h Harness) {
	l := h.Open(t)
	if _, err := l.Append(within(t), make([]byte, ordering.MaxEntry+1)); !errors.Is(err, ordering.ErrTooLarge) {
		t.Errorf("Append of MaxEntry+1 bytes: %v, want ErrTooLarge", err)
	}
	if s, err := l.State(within(t)); err != nil || s.Last != h.First-1 {
		t.Errorf("State after it: %+v, %v", s, err)
	}
	if got := mustAppend(t, l, "small"); got != h.First {
		t.Errorf("Append: position %d, want %d", got, h.First)
	}
}

// testFull fills a log: it refuses what is new and keeps what is old, and goes on
// when there is room.
func testFull(t *testing.T, h Harness) {
	l := h.Full(t)
	var last ordering.Seq
	var err error
	for range 65 {
		var seq ordering.Seq
		if seq, err = l.Append(within(t), make([]byte, FullSize)); err != nil {
			break
		}
		last = seq
	}
	if !errors.Is(err, ordering.ErrFull) {
		t.Fatalf("Append beyond the limit: %v, want ErrFull", err)
	}
	s, err := l.State(within(t))
	if err != nil || s.Last != last || s.Last-s.First+1 < 1 {
		t.Fatalf("State: %+v, %v, want all up to %d there", s, err, last)
	}
	if s.Bytes > s.MaxBytes || s.Bytes+FullSize+1024 < s.MaxBytes {
		t.Errorf("State: %d bytes of %d, though it is full", s.Bytes, s.MaxBytes)
	}
	first := s.First
	if got, err := l.Read(within(t), first); err != nil || got[0].Seq != first {
		t.Fatalf("Read of the oldest entry: %v", err)
	}
	if err := l.Truncate(within(t), last); err != nil {
		t.Fatal(err)
	}
	seq, err := l.Append(within(t), []byte("room again"))
	if err != nil || seq != last+1 {
		t.Fatalf("Append after Truncate: %d, %v, want %d", seq, err, last+1)
	}
}

func testState(t *testing.T, h Harness) {
	l, other := h.Open(t), h.Open(t)
	check := func(what string, first, last ordering.Seq) {
		t.Helper()
		for _, r := range []ordering.Log{l, other} {
			s, err := r.State(within(t))
			if err != nil || s.Epoch != h.Epoch || s.First != first || s.Last != last {
				t.Fatalf("State %s: %+v, %v, want %d to %d in epoch %d", what, s, err, first, last, h.Epoch)
			}
			if (s.Bytes > 0) != (last >= first) {
				t.Errorf("State %s: %d bytes", what, s.Bytes)
			}
		}
	}
	check("of an empty log", h.First, h.First-1)
	appendN(t, l, "e", 10)
	check("after ten", h.First, h.First+9)
	if err := other.Truncate(within(t), h.First+4); err != nil {
		t.Fatal(err)
	}
	check("after Truncate", h.First+4, h.First+9)
}
