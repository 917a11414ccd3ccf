package transfer_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/snapshot"
	"lockstep/snapshot/store"
	"lockstep/snapshot/transfer"
)

// peak is the most bytes of the process that were resident at once since forgetPeak, of
// all kinds: Go's heap, mappings, files in memory.
func peak(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if f := bytes.Fields(lines.Bytes()); len(f) == 3 && string(f[0]) == "VmHWM:" {
			kib, err := strconv.ParseFloat(string(f[1]), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024
		}
	}
	b.Fatal("/proc/self/status has no VmHWM")
	return 0
}

// forgetPeak has peak start from what is resident now; see proc(5), clear_refs.
func forgetPeak(b *testing.B) {
	b.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// guest is a replica's memory, written all over.
type guest struct {
	*joiner
	stamp uint64
}

// write has the guest write every apart-th page, and commits.
func (g *guest) write(apart int) {
	live := g.pages.Live()
	for at := 0; at < len(live); at += apart * snapshot.PageSize {
		g.stamp++
		binary.LittleEndian.PutUint64(live[at:], g.stamp)
	}
	g.fresh = append(g.fresh, g.pages.Commit()...)
}

// BenchmarkResident reports how much of the process is resident at most, in multiples of
// the guest's memory, all of which the guest wrote, with random bytes: when it has run and
// was audited; while a checkpoint of all of it is saved and the guest writes a tenth of it;
// while all of it is given to a joiner; and in a joiner. The servers of NATS are in
// the same process, and in the third the joiner, which keeps nothing.
func BenchmarkResident(b *testing.B) {
	for b.Loop() {
		var s shelf
		man := ranAndSaved(b, &s)
		cluster := jetstreamtest.Start(b, 1)
		if _, err := transfer.Serve(b.Context(), cluster.ConnectAny(b), "donor.a", shelf{s.Store, man}, nil); err != nil {
			b.Fatal(err)
		}
		t := &donation{donor: shelf{s.Store, man}, conn: cluster.ConnectAny(b), cluster: cluster}

		forgetPeak(b)
		j := newJoiner(b)
		t.fetch(b, j)
		b.ReportMetric(peak(b)/float64(large), "joins")
		if err := j.pages.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// ranAndSaved measures a replica that runs, saves and gives, and leaves its checkpoint.
func ranAndSaved(b *testing.B, s *shelf) snapshot.Manifest {
	b.Helper()
	forgetPeak(b)
	g := &guest{joiner: newJoiner(b)}
	defer func() { _ = g.pages.Close() }()
	live := g.pages.Live()
	for at := 0; at < large; at += snapshot.PageSize {
		randomPage(live[at:at+snapshot.PageSize], uint64(at))
	}
	g.write(1)
	g.root()
	g.write(10)
	g.root()
	b.ReportMetric(peak(b)/float64(large), "runs")

	g.write(10)
	root := g.root()
	forgetPeak(b)
	kept, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = kept.Close() })
	man := snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(large), Pages: root}
	c := &snapshot.Checkpoint{Manifest: man, Tree: g.tree.View(), Memory: g.pages.Freeze()}
	saved := make(chan error, 1)
	go func() { saved <- kept.Save(b.Context(), c) }()
	g.write(10)
	g.root()
	if err := <-saved; err != nil {
		b.Fatal(err)
	}
	c.Memory.Release()
	b.ReportMetric(peak(b)/float64(large), "saves")
	*s = shelf{kept, man}
	b.ReportMetric(gives(b, *s)/float64(large), "gives")
	return man
}

// gives is the peak while a checkpoint is given to a joiner that keeps none of it.
func gives(b *testing.B, s shelf) float64 {
	b.Helper()
	cluster := jetstreamtest.Start(b, 1)
	if _, err := transfer.Serve(b.Context(), cluster.ConnectAny(b), "donor.a", s, nil); err != nil {
		b.Fatal(err)
	}
	tree := snapshot.NewTree()
	tree.Resize(large)
	forgetPeak(b)
	patch := func(list []snapshot.Page) error {
		for _, p := range list {
			tree.Set(p.Index, p.Digest)
		}
		return nil
	}
	if _, err := (transfer.Fetch{
		Conn: cluster.ConnectAny(b), Donors: []transfer.Donor{{Name: "a", Subject: "donor.a"}}, Want: s.man, Local: tree, Patch: patch,
	}).Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	return peak(b)
}
