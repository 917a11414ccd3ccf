package transfer_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/snapshot"
	"lockstep/snapshot/store"
	"lockstep/snapshot/transfer"
)

// resident is the bytes of memory that the process takes: Go's heap and other memory of its own,
// the program, and files in memory, whose blocks are counted: of what proc(5) tells of mappings, VmRSS and Pss,
// the one counts a page of a guest that is mapped twice twice, and neither one that is not mapped.
func resident(b *testing.B) (bytes int64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		var kind string
		if n, _ := fmt.Sscanf(line, "%s %d kB", &kind, &kib); n == 2 && (kind == "RssAnon:" || kind == "RssFile:") {
			bytes += kib << 10
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Error(err)
	}
	for _, f := range files {
		path := "/proc/self/fd/" + f.Name()
		var stat unix.Stat_t
		if to, _ := os.Readlink(path); strings.HasPrefix(to, "/memfd:") && unix.Stat(path, &stat) == nil {
			bytes += stat.Blocks * 512
		}
	}
	return bytes
}

// watch looks from now on every few milliseconds at how much is resident. The function
// that it returns ends that and tells the most.
func watch(b *testing.B) (most func() float64) {
	b.Helper()
	debug.FreeOSMemory()
	stop, told := make(chan struct{}), make(chan int64)
	go func() {
		most := resident(b)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, resident(b))
			case <-stop:
				told <- max(most, resident(b))
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return float64(<-told)
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
// was audited; while a checkpoint of all of it is saved at once and the guest writes a tenth of it; what is left after 300 entries more that
// write a page each; while such a checkpoint is saved then;
// while all of it is given to a joiner; and in a joiner. The servers of NATS are in
// the same process, and in the third the joiner, which keeps nothing.
func BenchmarkResident(b *testing.B) {
	for b.Loop() {
		var s shelf
		man := ranAndSaved(b, &s)
		cluster := jetstreamtest.Start(b, 1)
		if _, err := transfer.Serve(b.Context(), cluster.ConnectAny(b), "donor.a", shelf{s.Store, man}, nil, nil); err != nil {
			b.Fatal(err)
		}
		t := &donation{donor: shelf{s.Store, man}, conn: cluster.ConnectAny(b), cluster: cluster}

		most := watch(b)
		j := newJoiner(b)
		t.fetch(b, j)
		b.ReportMetric(most()/float64(large), "joins")
		if err := j.pages.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// ranAndSaved measures a replica that runs, saves and gives, and leaves its checkpoint.
func ranAndSaved(b *testing.B, s *shelf) snapshot.Manifest {
	b.Helper()
	most := watch(b)
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
	b.ReportMetric(most()/float64(large), "runs")
	most = watch(b)
	kept := g.save(b)
	b.ReportMetric(most()/float64(large), "saves-at-once")
	if err := kept.Close(); err != nil {
		b.Fatal(err)
	}
	for range 300 {
		g.write(large)
	}
	debug.FreeOSMemory()
	b.ReportMetric(float64(resident(b))/float64(large), "rests")

	g.write(10)
	g.root()
	most = watch(b)
	*s = g.save(b)
	b.Cleanup(func() { _ = s.Close() })
	b.ReportMetric(most()/float64(large), "saves")
	b.ReportMetric(gives(b, *s)/float64(large), "gives")
	return s.man
}

// save saves a checkpoint while the guest writes a tenth of its memory.
func (g *guest) save(b *testing.B) shelf {
	b.Helper()
	kept, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	man := snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(large), Pages: g.root()}
	c := &snapshot.Checkpoint{Manifest: man, Tree: g.tree.View(), Memory: g.pages.Freeze()}
	saved := make(chan error, 1)
	go func() { saved <- kept.Save(b.Context(), c) }()
	g.write(10)
	g.root()
	if err := <-saved; err != nil {
		b.Fatal(err)
	}
	c.Memory.Release()
	return shelf{kept, man}
}

// gives is the peak while a checkpoint is given to a joiner that keeps none of it.
func gives(b *testing.B, s shelf) float64 {
	b.Helper()
	cluster := jetstreamtest.Start(b, 1)
	if _, err := transfer.Serve(b.Context(), cluster.ConnectAny(b), "donor.a", s, nil, nil); err != nil {
		b.Fatal(err)
	}
	tree := snapshot.NewTree()
	tree.Resize(large)
	most := watch(b)
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
	return most()
}
