package host_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"lockstep/guests/examples/kv"
	"lockstep/snapshot"
)

// dirty changes so many MiB of a machine's committed memory.
func dirty(t testing.TB, b *bench, mebibytes int, v uint64) {
	t.Helper()
	var pages []snapshot.Page
	for i := range uint32(mebibytes << 20 / snapshot.PageSize) {
		data := make([]byte, snapshot.PageSize)
		binary.BigEndian.PutUint64(data, v+uint64(i)+1)
		pages = append(pages, snapshot.Page{Index: i, Data: data})
	}
	if err := b.Patch(snapshot.Delta{Size: uint64(len(b.Memory())), Pages: pages}); err != nil {
		t.Fatal(err)
	}
}

// large is a machine with 256 MiB of memory.
func large(t testing.TB) *bench {
	t.Helper()
	w := newWorld(t)
	m, err := w.engine.Compile(kv.V2, 4096)
	if err != nil {
		t.Fatal(err)
	}
	w.modules[m.Digest()] = m
	b := deployed(t, w, kv.V2)
	if err := b.Patch(snapshot.Delta{Size: 256 << 20}); err != nil {
		t.Fatal(err)
	}
	b.Root()
	return b
}

// BenchmarkCheckpointPause is how long a machine stands still for a checkpoint,
// by what changed since the one before. "audited": audits have hashed it on the
// way, as they do each 128 entries; "unaudited": none has, all of it comes from
// one interval. The rest of it is what any audit costs.
func BenchmarkCheckpointPause(b *testing.B) {
	m := large(b)
	v := uint64(0)
	for _, audited := range []bool{true, false} {
		for _, size := range []int{0, 10, 100, 200} {
			name := fmt.Sprintf("unaudited/%d MiB", size)
			if audited {
				name = fmt.Sprintf("audited/%d MiB", size)
			}
			b.Run(name, func(b *testing.B) {
				var worst time.Duration
				for b.Loop() {
					b.StopTimer()
					v += 1 << 32
					dirty(b, m, size, v)
					if audited {
						m.Root()
					}
					b.StartTimer()
					began := time.Now()
					c := m.Checkpoint()
					worst = max(worst, time.Since(began))
					b.StopTimer()
					c.Memory.Release()
					b.StartTimer()
				}
				b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
			})
		}
	}
}

// The pause of a checkpoint does not grow with what changed: pages are not
// copied. The bound leaves room for a loaded machine; copying 200 MiB takes
// several times as long.
func TestCheckpointPauseIsBounded(t *testing.T) {
	m := large(t)
	best := time.Hour // of several, so that another process's turn is not taken for a pause
	for i := range uint64(3) {
		dirty(t, m, 200, i<<32)
		m.Root()
		began := time.Now()
		c := m.Checkpoint()
		best = min(best, time.Since(began))
		c.Memory.Release()
	}
	if limit := 5*time.Millisecond + 20*time.Millisecond; best > limit {
		t.Errorf("a checkpoint with 200 MiB changed pauses for %v at best, want at most %v", best, limit)
	}
}
