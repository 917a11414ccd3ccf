package host_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/snapshot"
)

// dirty has a machine's guest write so many MiB of its memory and commit them.
func dirty(t testing.TB, b *bench, mebibytes int, v uint64) {
	t.Helper()
	live := b.Live()
	for i := range mebibytes << 20 / snapshot.PageSize {
		binary.BigEndian.PutUint64(live[len(live)-(i+1)*snapshot.PageSize:], v+uint64(i)+1)
	}
	written++
	tr, r := b.apply(batch(written, written, kv.Put("k", []byte{byte(written)})))
	if len(r) != 1 {
		t.Fatalf("%d receipts, want 1", len(r))
	}
	if tr.Audited != nil { // which has hashed it all; the entry after it is not audited
		dirty(t, b, mebibytes, v+1<<31)
	}
}

var written uint64 // number of the last input

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
// by what one entry wrote since the one before, with no audit in between.
func BenchmarkCheckpointPause(b *testing.B) {
	m := large(b)
	v := uint64(0)
	for _, size := range []int{0, 1, 4, 10, 100, 200} {
		b.Run(fmt.Sprintf("%d MiB", size), func(b *testing.B) {
			var worst time.Duration
			for b.Loop() {
				b.StopTimer()
				v += 1 << 32
				dirty(b, m, size, v)
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

// The pause of a checkpoint does not grow with what changed: pages are not
// copied, and not hashed only then. The bound leaves room for a loaded machine; to copy
// or to hash 200 MiB takes several times as long.
func TestCheckpointPauseIsBounded(t *testing.T) {
	m := large(t)
	best := time.Hour // of several, so that another process's turn is not taken for a pause
	for i := range uint64(3) {
		dirty(t, m, 200, i<<32)
		began := time.Now()
		c := m.Checkpoint()
		best = min(best, time.Since(began))
		if c.Memory.Release(); c.Manifest.Pages == (audit.Digest{}) {
			t.Fatal("the checkpoint has no root")
		}
	}
	if limit := 5*time.Millisecond + 20*time.Millisecond; best > limit {
		t.Errorf("a checkpoint with 200 MiB changed pauses for %v at best, want at most %v", best, limit)
	}
}
