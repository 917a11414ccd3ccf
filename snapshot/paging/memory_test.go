package paging

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/snapshot"
)

const testMax = 64 * PageSize

// kinds are all trackers that this system is to have. One that does not start is
// left out only where the system itself says that it has not what it takes, asked
// in another way than the tracker does; see lacking.
func kinds(t testing.TB) []Kind {
	t.Helper()
	list := []Kind{Compare}
	for _, kind := range []Kind{Userfaultfd, Memfd} {
		m, err := New(Config{MaxBytes: testMax, Tracker: kind})
		why := lacking(kind)
		switch {
		case err == nil:
			list = append(list, kind)
			_ = m.Close()
		case why == "":
			t.Errorf("%v does not start, and the system has what it takes: %v", kind, err)
		default:
			t.Logf("no %v here: %s", kind, why)
		}
	}
	return list
}

func open(t testing.TB, kind Kind, size uint64) *Memory {
	t.Helper()
	m, err := New(Config{MaxBytes: size, Tracker: kind})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// model is what a memory must be, in the plainest way.
type model struct{ live, committed []byte }

func (o *model) resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b[:len(b):len(b)], make([]byte, size-len(b))...)
}

// run drives a memory and its model by the bytes of a program.
func run(t *testing.T, kind Kind, program []byte) {
	m, o := open(t, kind, testMax), &model{}
	base := &m.live[0]
	next := func() int {
		if len(program) == 0 {
			return 0
		}
		b := program[0]
		program = program[1:]
		return int(b)
	}
	var stop func()
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	for step := 0; len(program) > 0; step++ {
		switch op := next() % 9; op {
		case 0, 1, 2: // write
			if len(o.live) > 0 {
				at := (next()*251 + next()*13) % len(o.live)
				v := byte(next())
				m.Live()[at], o.live[at] = v, v
			}
		case 3: // grow
			size := min(len(o.live)+next()%5*PageSize, testMax)
			if m.Grow(uint64(size)) == nil && size > 0 {
				t.Fatalf("step %d: grow to %d refused", step, size)
			}
			o.live = o.resize(o.live, size)
		case 4:
			checkDirty(t, m.Commit(), o)
			o.committed = bytes.Clone(o.live)
		case 5:
			m.Undo()
			o.live = bytes.Clone(o.committed)
		case 6: // patch: only ever with nothing uncommitted
			m.Undo()
			o.live = bytes.Clone(o.committed)
			size := next() % 64 * PageSize
			m.Resize(uint64(size))
			o.live, o.committed = o.resize(o.live, size), o.resize(o.committed, size)
		case 7:
			m.Undo()
			o.live = bytes.Clone(o.committed)
			if n := len(o.live) / PageSize; n > 0 {
				i := next() % n
				data := bytes.Repeat([]byte{byte(next())}, PageSize)
				m.Write(snapshot.Page{Index: uint32(i), Data: data})
				copy(o.live[i*PageSize:], data)
				copy(o.committed[i*PageSize:], data)
			}
		case 8:
			if stop == nil {
				stop = m.Watch()
			} else {
				stop()
				stop = nil
			}
		}
		if !bytes.Equal(m.Live(), o.live) || !bytes.Equal(m.Committed(), o.committed) {
			t.Fatalf("step %d: memory is not the model's", step)
		}
	}
	if &m.live[0] != base {
		t.Error("the base moved")
	}
	for i, b := range m.live[m.size:] {
		if b != 0 {
			t.Fatalf("byte %d past the end is %d", i, b)
		}
	}
}

// checkDirty checks that every page that changed is listed, in order, and none
// that does not exist.
func checkDirty(t *testing.T, dirty []uint32, o *model) {
	t.Helper()
	listed := make(map[uint32]bool)
	for k, i := range dirty {
		listed[i] = true
		if k > 0 && dirty[k-1] >= i || int(i) >= len(o.live)/PageSize {
			t.Fatalf("dirty pages %v of %d are not ascending", dirty, len(o.live)/PageSize)
		}
	}
	for i := 0; i < len(o.live)/PageSize; i++ {
		was := []byte(nil)
		if (i+1)*PageSize <= len(o.committed) {
			was = o.committed[i*PageSize:][:PageSize]
		}
		if !bytes.Equal(was, o.live[i*PageSize:][:PageSize]) && !listed[uint32(i)] {
			t.Fatalf("page %d changed and is not listed", i)
		}
	}
}

func TestMemoryIsTheModel(t *testing.T) {
	for _, kind := range kinds(t) {
		t.Run(kind.String(), func(t *testing.T) {
			for seed := range uint64(12) {
				r := rand.New(rand.NewPCG(seed, 1))
				program := make([]byte, 2000)
				for i := range program {
					program[i] = byte(r.Uint32())
				}
				run(t, kind, program)
			}
		})
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte{3, 4, 0, 1, 2, 3, 4, 0, 9, 9, 9, 5, 6, 1, 7, 0, 1, 4})
	list := kinds(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		for _, kind := range list {
			run(t, kind, program)
		}
	})
}

// A commit with nothing written lists nothing, however large the memory.
func TestCleanCommit(t *testing.T) {
	for _, kind := range kinds(t) {
		m := open(t, kind, testMax)
		m.Grow(testMax)
		m.Commit()
		m.Live()[5*PageSize+7] = 1
		if got := fmt.Sprint(m.Commit()); got != "[5]" {
			t.Errorf("%v: one page written, commit lists %s", kind, got)
		}
		if got := m.Commit(); len(got) != 0 {
			t.Errorf("%v: nothing written, commit lists %v", kind, got)
		}
		m.Live()[6*PageSize] = 1
		m.Undo()
		if got := m.Commit(); len(got) != 0 {
			t.Errorf("%v: all undone, commit lists %v", kind, got)
		}
	}
}

// However many runs the written pages are, each is listed once, in order.
func TestManyRuns(t *testing.T) {
	const pages = 8192
	for _, kind := range kinds(t) {
		m := open(t, kind, pages*PageSize)
		m.Grow(pages * PageSize)
		m.Commit()
		for v := byte(1); v < 3; v++ {
			var want []uint32
			for i := uint32(v); i < pages; i += 3 {
				page(m.Live(), i)[0] = v
				want = append(want, i)
			}
			if got := m.Commit(); !slices.Equal(got, want) {
				t.Errorf("%v: %d pages written in runs of one, commit lists %d others", kind, len(want), len(got))
			}
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{}, {MaxBytes: 5}, {MaxBytes: PageSize, Tracker: 99}} {
		if m, err := New(c); err == nil {
			t.Errorf("%+v: no error", c)
			_ = m.Close()
		}
	}
}

func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	var size, rss int64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &size, &rss); err != nil {
		t.Fatal(err)
	}
	return rss * int64(os.Getpagesize())
}

// filled is a memory in which every page has been written.
func filled(b testing.TB, kind Kind, size uint64) *Memory {
	m := open(b, kind, size)
	m.Grow(size)
	for i := uint64(0); i < size; i += PageSize {
		m.Live()[i] = 1
	}
	m.Commit()
	return m
}

// BenchmarkCommit writes pages and commits: the same ones each time, as a stack or
// a counter is, or others each time.
func BenchmarkCommit(b *testing.B) {
	const size = 64 << 20
	for _, kind := range kinds(b) {
		for _, dirty := range []int{0, 8, 1000} {
			for _, move := range []int{0, 1} {
				b.Run(fmt.Sprintf("%v/64MiB/%d dirty/move %d", kind, dirty, move), func(b *testing.B) {
					m := filled(b, kind, size)
					n := byte(0)
					at := 0
					for b.Loop() {
						n++
						for i := range dirty {
							m.Live()[(at+i*16*PageSize)%size] = n
						}
						at += move * PageSize
						m.Commit()
					}
				})
			}
		}
	}
}

// BenchmarkUndo writes to two pages and undoes it: again and again, watched and not, and as early as the first 200 times
// after all of the memory was written; or another page each time, which is compared with writes that are committed and
// hashed, 256 at a time.
func BenchmarkUndo(b *testing.B) {
	for _, kind := range []Kind{Userfaultfd, Memfd} {
		for _, mib := range []uint64{1, 64, 1024} {
			for name, tc := range map[string]struct {
				move  uint64
				watch bool
				every int // commits
			}{"same": {}, "same, watched": {watch: true}, "others": {move: 7919, watch: true}, "others committed": {move: 7919, every: 256}} {
				b.Run(fmt.Sprintf("%v/%dMiB/%s", kind, mib, name), func(b *testing.B) {
					m := filled(b, kind, mib<<20)
					if tc.watch {
						defer m.Watch()()
					}
					n, at := 0, uint64(0)
					run := func() {
						n++
						at = (at + tc.move*PageSize) % (mib << 20)
						m.Live()[at+7]++
						m.Live()[9*PageSize]++
						switch {
						case tc.every == 0:
							m.Undo()
						case n%tc.every == 0:
							digests(m, m.Commit())
						}
					}
					began := time.Now()
					for range 200 {
						run()
					}
					early := time.Since(began)
					for range 2000 {
						run()
					}
					for b.Loop() {
						run()
					}
					b.ReportMetric(float64(early.Nanoseconds())/200, "early-ns/op")
				})
			}
		}
	}
}

// TestWarm: pages that are written each time stay unprotected, and those that were
// written once do not pile up.
func TestWarm(t *testing.T) {
	const size = 16 << 20
	for _, kind := range kinds(t) {
		m := open(t, kind, size)
		m.Grow(size)
		for i := range uint32(size / PageSize) {
			page(m.Live(), i)[0] = 1
		}
		m.Commit()
		most := 0
		for n := range uint32(400) {
			want := []uint32{0, 1, 2, 3, 100 + 5*n, 102 + 5*n}
			for _, i := range want {
				page(m.Live(), i)[7] += 3
			}
			if got := m.Commit(); !slices.Equal(got, want) {
				t.Fatalf("%v: commit %d changed pages %d, want %d", kind, n, got, want)
			}
			most = max(most, len(m.written))
		}
		if most > 64 {
			t.Errorf("%v: up to %d pages were compared for 6 that changed", kind, most)
		}
	}
}
