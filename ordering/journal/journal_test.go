package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/ordering"
)

// patience is how long anything may take that a test waits for.
const patience = 60 * time.Second

// run makes n entries after a position, and the positions after them.
func run(p ordering.Position, n int, seed uint64) (entries []ordering.Entry, at []ordering.Position) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		data := make([]byte, rng.IntN(300))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		e := ordering.Entry{Epoch: max(p.Epoch, 1), Seq: p.Seq + 1, Time: ordering.Time(rng.Int64()), Data: data}
		p = p.Next(e)
		entries, at = append(entries, e), append(at, p)
	}
	return entries, at
}

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// put appends entries and waits until they are durable.
func put(t testing.TB, j *Journal, entries []ordering.Entry, at []ordering.Position) {
	t.Helper()
	for i, e := range entries {
		if err := j.Append(e, at[i]); err != nil {
			t.Fatal(err)
		}
	}
	await(t, j, at[len(at)-1])
}

func await(t testing.TB, j *Journal, p ordering.Position) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); j.Durable() != p; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("durable is %v, want %v; err %v", j.Durable(), p, j.Err())
		}
	}
}

// want checks that the journal has exactly these entries and ends there.
func want(t testing.TB, j *Journal, first ordering.Seq, entries []ordering.Entry, last ordering.Position) {
	t.Helper()
	if j.Last() != last || j.Durable() != last {
		t.Fatalf("journal ends at %v, durable %v, want %v", j.Last(), j.Durable(), last)
	}
	if j.First() > first {
		t.Fatalf("journal starts at %d, want %d", j.First(), first)
	}
	for _, e := range entries {
		got, err := j.Read(e.Seq, 1, 0)
		if err != nil || len(got) != 1 || !same(got[0], e) {
			t.Fatalf("read %d: %v, %v", e.Seq, got, err)
		}
	}
	if _, err := j.Read(last.Seq+1, 1, 0); !errors.Is(err, ErrNotHere) {
		t.Fatalf("read beyond the end: %v", err)
	}
}

func same(a, b ordering.Entry) bool {
	return a.Epoch == b.Epoch && a.Seq == b.Seq && a.Time == b.Time && bytes.Equal(a.Data, b.Data)
}

func reopen(t testing.TB, j *Journal, o Options) *Journal {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, j.dir, o)
}

func TestAppendReadReopen(t *testing.T) {
	o := Options{SegmentBytes: 4 << 10}
	j := open(t, t.TempDir(), o)
	entries, at := run(ordering.Position{}, 200, 1)
	put(t, j, entries[:1], at[:1])
	put(t, j, entries[1:], at[1:])
	want(t, j, 1, entries, at[199])
	j = reopen(t, j, o)
	want(t, j, 1, entries, at[199])
	for i, p := range at {
		if got, err := j.At(p.Seq); err != nil || got != p {
			t.Fatalf("at %d: %v, %v", i, got, err)
		}
	}
	if got, err := j.At(0); err != nil || got != (ordering.Position{}) {
		t.Errorf("at the base: %v, %v", got, err)
	}
	more, moreAt := run(at[199], 50, 2)
	put(t, j, more, moreAt)
	want(t, reopen(t, j, o), 1, append(entries, more...), moreAt[49])
}

func TestReadIsBounded(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	entries, at := run(ordering.Position{}, 100, 1)
	put(t, j, entries, at)
	if got, err := j.Read(10, 7, 1<<20); err != nil || len(got) != 7 || !same(got[6], entries[15]) {
		t.Errorf("7 entries: %d, %v", len(got), err)
	}
	if got, err := j.Read(10, 100, 1); err != nil || len(got) > 2 {
		t.Errorf("1 byte: %d entries, %v", len(got), err)
	}
	if got, err := j.Read(95, 100, 1<<20); err != nil || len(got) != 6 {
		t.Errorf("to the end: %d entries, %v", len(got), err)
	}
}

func TestAppendRefuses(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	entries, at := run(ordering.Position{}, 3, 1)
	put(t, j, entries[:2], at[:2])
	wrong := at[2]
	wrong.Epoch++
	old := entries[2]
	old.Epoch = 0
	for what, err := range map[string]error{
		"again":        j.Append(entries[1], at[1]),
		"other place":  j.Append(entries[2], wrong),
		"older epoch":  j.Append(old, at[2]),
		"too large":    j.Append(ordering.Entry{Epoch: 1, Seq: 3, Data: make([]byte, ordering.MaxEntry+1)}, at[2]),
		"skipped":      j.Append(ordering.Entry{Epoch: 1, Seq: 4}, ordering.Position{Epoch: 1, Seq: 4}),
		"before first": j.Append(entries[0], at[0]),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	want(t, j, 1, entries[:2], at[1])
}

func TestDrop(t *testing.T) {
	o := Options{SegmentBytes: 2 << 10}
	j := open(t, t.TempDir(), o)
	entries, at := run(ordering.Position{}, 300, 3)
	for i := range entries { // one by one, so that there are many segments
		put(t, j, entries[i:i+1], at[i:i+1])
	}
	before := len(j.segments)
	if err := j.Drop(150); err != nil {
		t.Fatal(err)
	}
	first := j.First()
	if first < 100 || first > 151 || len(j.segments) >= before {
		t.Fatalf("first is %d with %d of %d segments after a drop up to 150", first, len(j.segments), before)
	}
	want(t, j, first, entries[first-1:], at[299])
	j = reopen(t, j, o)
	want(t, j, first, entries[first-1:], at[299])
	if _, err := j.Read(first-1, 1, 0); !errors.Is(err, ErrNotHere) {
		t.Errorf("read what was dropped: %v", err)
	}
	if err := j.Drop(1000); err != nil {
		t.Fatal(err)
	}
	if len(j.segments) != 1 {
		t.Errorf("%d segments, want the newest", len(j.segments))
	}
}

func TestRewindAndReset(t *testing.T) {
	for _, segment := range []int64{1 << 10, 1 << 20} {
		o := Options{SegmentBytes: segment}
		j := open(t, t.TempDir(), o)
		entries, at := run(ordering.Position{}, 100, 4)
		for i := 0; i < 100; i += 10 {
			put(t, j, entries[i:i+10], at[i:i+10])
		}
		if err := j.Rewind(ordering.Position{Epoch: 1, Seq: 60}); err == nil {
			t.Error("rewound to a chain that it does not have")
		}
		if err := j.Rewind(at[59]); err != nil {
			t.Fatal(err)
		}
		want(t, j, 1, entries[:60], at[59])
		j = reopen(t, j, o)
		want(t, j, 1, entries[:60], at[59])
		other, otherAt := run(at[59], 100, 5)
		put(t, j, other, otherAt)
		if err := j.Rewind(at[9]); err != nil {
			t.Fatal(err)
		}
		if err := j.Rewind(at[4]); err != nil {
			t.Fatal(err)
		}
		put(t, j, entries[5:50], at[5:50])
		j = reopen(t, j, o)
		want(t, j, 1, entries[:50], at[49])

		far := ordering.Position{Epoch: 3, Seq: 7000, Chain: ordering.Chain{1}}
		if err := j.Reset(far); err != nil {
			t.Fatal(err)
		}
		want(t, j, 7001, nil, far)
		j = reopen(t, j, o)
		want(t, j, 7001, nil, far)
		third, thirdAt := run(far, 20, 6)
		put(t, j, third, thirdAt)
		want(t, reopen(t, j, o), 7001, third, thirdAt[19])
	}
}

// Rewinding and resetting are the creation of one file: whatever else a crash leaves,
// the course holds.
func TestTurnIsOneFile(t *testing.T) {
	for name, turn := range map[string]func(*Journal, []ordering.Position) error{
		"rewind": func(j *Journal, at []ordering.Position) error { return j.Rewind(at[19]) },
		"reset":  func(j *Journal, _ []ordering.Position) error { return j.Reset(ordering.Position{Epoch: 2, Seq: 500}) },
	} {
		dir := t.TempDir()
		o := Options{SegmentBytes: 1 << 10}
		j := open(t, dir, o)
		entries, at := run(ordering.Position{}, 100, 4)
		for i := range entries {
			put(t, j, entries[i:i+1], at[i:i+1])
		}
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := turn(j, at); err != nil {
			t.Fatal(err)
		}
		last := j.Last()
		newest := filepath.Base(j.segments[len(j.segments)-1].path)
		b, err := os.ReadFile(filepath.Join(dir, newest))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, newest), b, 0o600); err != nil {
			t.Fatal(err)
		}
		crashed := open(t, copied, o) // with all old files still there
		if crashed.Last() != last {
			t.Errorf("%s: ends at %v, want %v", name, crashed.Last(), last)
		}
		if _, fenced := crashed.Fence(); fenced {
			t.Errorf("%s: what was given up is taken for damage", name)
		}
	}
}

func TestCloseEndsAppend(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	entries, at := run(ordering.Position{}, 1, 1)
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(entries[0], at[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Reset(at[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("reset: %v", err)
	}
}

// BenchmarkCommit has many entries waiting at once, as a busy log brings them.
func BenchmarkCommit(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			synced := make(chan ordering.Position, 1024)
			j := open(b, b.TempDir(), Options{OnSync: func(p ordering.Position, _ error) { synced <- p }})
			var p ordering.Position
			data := make([]byte, 1500)
			b.SetBytes(int64(batch * len(data)))
			for b.Loop() {
				for range batch {
					e := ordering.Entry{Epoch: 1, Seq: p.Seq + 1, Data: data}
					p = p.Next(e)
					if err := j.Append(e, p); err != nil {
						b.Fatal(err)
					}
				}
				for q := range synced {
					if q == p {
						break
					}
				}
			}
			b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
