package transfer_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/snapshot"
	"lockstep/snapshot/paging"
	"lockstep/snapshot/store"
	"lockstep/snapshot/transfer"
)

// large is the bytes of state in a benchmark.
var large = benchBytes()

func benchBytes() int {
	if mib, err := strconv.Atoi(os.Getenv("LOCKSTEP_BENCH_MIB")); err == nil {
		return mib << 20
	}
	return 64 << 20
}

// shelf is a donor's store.
type shelf struct {
	*store.Store
	man snapshot.Manifest
}

func (s shelf) Manifest(ordering.Epoch, ordering.Seq) ([]byte, error) { return s.man.Encode(), nil }
func (s shelf) Hold(epoch ordering.Epoch, seq ordering.Seq, holder uint64, d time.Duration) error {
	return s.Store.Hold(s.man.Machine, epoch, seq, holder, d)
}
func (s shelf) Parts(refs []snapshot.Ref, give func([]byte) bool) error {
	return s.Store.Parts(s.man.Machine, refs, give)
}
func (s shelf) Blob(audit.Digest) ([]byte, error) { return nil, transfer.ErrNotHere }

func span(n int) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(i)
	}
	return list
}

func randomPage(into []byte, seed uint64) {
	source := rand.NewPCG(seed, 1)
	for i := 0; i < len(into); i += 8 {
		binary.LittleEndian.PutUint64(into[i:], source.Uint64())
	}
}

// joiner is a memory that a transfer fills.
type joiner struct {
	pages *paging.Memory
	tree  *snapshot.Tree
	fresh []uint32 // written, and not hashed yet
}

func newJoiner(b *testing.B) *joiner {
	b.Helper()
	m, err := paging.New(paging.Config{MaxBytes: uint64(large)})
	if err != nil {
		b.Fatal(err)
	}
	m.Resize(uint64(large))
	j := &joiner{pages: m, tree: snapshot.NewTree()}
	j.tree.Resize(large)
	return j
}

func (j *joiner) patch(list []snapshot.Page) error {
	j.pages.Write(list...)
	for _, p := range list {
		j.tree.Set(p.Index, p.Digest)
	}
	return nil
}

func (j *joiner) root() audit.Digest {
	j.tree.Update(j.pages.Committed(), j.fresh)
	j.fresh = nil
	return j.tree.Root()
}

// shelve puts a state of random pages into a store.
func shelve(b *testing.B, memory []byte) shelf {
	b.Helper()
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	tree.Update(memory, span(len(memory)/snapshot.PageSize))
	man := snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(len(memory)), Pages: tree.Root()}
	if err := s.Save(b.Context(), &snapshot.Checkpoint{Manifest: man, Tree: tree.View(), Memory: snapshot.Copied(memory)}); err != nil {
		b.Fatal(err)
	}
	return shelf{s, man}
}

// donation is a donor of a state of random pages, and a connection to it.
type donation struct {
	memory  []byte
	donor   shelf
	conn    *nats.Conn
	cluster *jetstreamtest.Cluster
}

func newDonation(b *testing.B) *donation {
	memory := make([]byte, large)
	for at := 0; at < large; at += snapshot.PageSize {
		randomPage(memory[at:at+snapshot.PageSize], uint64(at))
	}
	t := &donation{memory: memory, donor: shelve(b, memory), cluster: jetstreamtest.Start(b, 1)}
	if _, err := transfer.Serve(b.Context(), t.cluster.ConnectAny(b), "donor.a", t.donor, nil, nil); err != nil {
		b.Fatal(err)
	}
	t.conn = t.cluster.ConnectAny(b)
	return t
}

func (t *donation) fetch(b *testing.B, j *joiner) transfer.Stats {
	stats, err := transfer.Fetch{
		Conn: t.conn, Donors: []transfer.Donor{{Name: "a", Subject: "donor.a"}}, Want: t.donor.man, Local: j.tree, Patch: j.patch,
	}.Run(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if j.root() != t.donor.man.Pages {
		b.Fatal("the state has another root")
	}
	return stats
}

const copied = 512 << 10 // bytes of a reply of the copy

// serveCopy answers with parts of the memory as they are.
func (t *donation) serveCopy(b *testing.B) {
	sub, err := t.cluster.ConnectAny(b).Subscribe("plain", func(m *nats.Msg) {
		_ = m.Respond(t.memory[binary.BigEndian.Uint64(m.Data):][:copied])
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sub.Unsubscribe() })
}

// copy moves the same bytes, not checked, compressed or stored.
func (t *donation) copy(b *testing.B, into []byte) {
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for at := w * copied; at < large; at += 4 * copied {
				m, err := t.conn.Request("plain", binary.BigEndian.AppendUint64(nil, uint64(at)), 5*time.Second)
				if err != nil {
					b.Error(err)
					return
				}
				copy(into[at:], m.Data)
			}
		})
	}
	workers.Wait()
}

// BenchmarkFreshJoiner moves a state of random pages from a donor's store, in turns with
// a plain copy of the same bytes over NATS. It reports the medians of both and of how they
// compare, and the lowest and highest of that.
func BenchmarkFreshJoiner(b *testing.B) {
	t := newDonation(b)
	t.serveCopy(b)
	var plain, joined, ratio []float64
	rate := func(do func()) float64 {
		runtime.GC()
		began := time.Now()
		do()
		return float64(large) / 1e6 / time.Since(began).Seconds()
	}
	for b.Loop() {
		touch(b)
		into := anew(b)
		p := rate(func() { t.copy(b, into.Live()) })
		_ = into.Close()
		touch(b)
		j := newJoiner(b)
		f := rate(func() { t.fetch(b, j) })
		_ = j.pages.Close()
		plain, joined, ratio = append(plain, p), append(joined, f), append(ratio, f/p)
	}
	for _, list := range [][]float64{plain, joined, ratio} {
		slices.Sort(list)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(plain[len(plain)/2], "copy-MB/s")
	b.ReportMetric(joined[len(joined)/2], "joiner-MB/s")
	b.ReportMetric(ratio[len(ratio)/2], "of-copy")
	b.ReportMetric(ratio[0], "of-copy-min")
	b.ReportMetric(ratio[len(ratio)-1], "of-copy-max")
}

// anew is memory that nobody has touched yet: what is copied goes there, as what a joiner receives does.
func anew(b *testing.B) *paging.Memory {
	b.Helper()
	m, err := paging.New(paging.Config{MaxBytes: uint64(large), Tracker: paging.Compare})
	if err != nil {
		b.Fatal(err)
	}
	m.Grow(uint64(large))
	return m
}

// touch takes memory from the system and gives it back. A virtual machine whose host takes free pages
// away pays for their return at their first touch, several times what everything else costs: what is
// timed next finds as many pages that are there as on a machine of its own.
func touch(b *testing.B) {
	b.Helper()
	for range 2 {
		m := anew(b)
		defer func() { _ = m.Close() }()
		for at, live := 0, m.Live(); at < len(live); at += paging.PageSize {
			live[at] = 1
		}
	}
}

// BenchmarkOnePercent brings a state up to date of which one page in a hundred differs.
func BenchmarkOnePercent(b *testing.B) {
	t := newDonation(b)
	j := newJoiner(b)
	defer func() { _ = j.pages.Close() }()
	for i := range uint32(large / snapshot.PageSize) {
		j.pages.Write(snapshot.Page{Index: i, Data: t.memory[int(i)*snapshot.PageSize:][:snapshot.PageSize]})
	}
	other := make([]byte, snapshot.PageSize)
	b.SetBytes(int64(large))
	var wire, differing uint64
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		source := rand.New(rand.NewPCG(uint64(round), 5))
		n := uint32(large / snapshot.PageSize)
		for range n / 100 {
			randomPage(other, source.Uint64())
			j.pages.Write(snapshot.Page{Index: source.Uint32N(n), Data: other})
		}
		b.StartTimer()
		j.fresh = span(int(n)) // a replica that was found to differ hashes all it has
		j.root()
		stats := t.fetch(b, j)
		wire += stats.Bytes + stats.Sent
		differing += uint64(stats.Pages) * snapshot.PageSize
	}
	b.ReportMetric(float64(wire)/float64(differing), "wire/differing")
}
