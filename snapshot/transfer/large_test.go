package transfer_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
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
	for _, p := range list {
		j.pages.Write(p.Index, p.Data)
		j.fresh = append(j.fresh, p.Index)
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

// BenchmarkLarge moves a state of 1 GiB of random pages from a donor's store: all of
// it, against a copy of the same bytes over NATS that is not checked, compressed or
// stored, and 1 % of it.
func BenchmarkLarge(b *testing.B) {
	memory := make([]byte, large)
	for at := 0; at < large; at += snapshot.PageSize {
		randomPage(memory[at:at+snapshot.PageSize], uint64(at))
	}
	donor := shelve(b, memory)
	cluster := jetstreamtest.Start(b, 1)
	if _, err := transfer.Serve(b.Context(), cluster.ConnectAny(b), "donor.a", donor, nil); err != nil {
		b.Fatal(err)
	}
	conn := cluster.ConnectAny(b)
	donors := []transfer.Donor{{Name: "a", Subject: "donor.a"}}
	fetch := func(b *testing.B, j *joiner) transfer.Stats {
		stats, err := transfer.Fetch{Conn: conn, Donors: donors, Want: donor.man, Local: j.tree, Patch: j.patch}.Run(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if j.root() != donor.man.Pages {
			b.Fatal("the state has another root")
		}
		return stats
	}
	b.Run("copy over NATS", func(b *testing.B) {
		const part = 512 << 10
		sub, err := cluster.ConnectAny(b).Subscribe("plain", func(m *nats.Msg) {
			_ = m.Respond(memory[binary.BigEndian.Uint64(m.Data):][:part])
		})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		b.SetBytes(int64(large))
		for b.Loop() {
			into := make([]byte, large)
			var workers sync.WaitGroup
			for w := range 4 {
				workers.Go(func() {
					for at := w * part; at < large; at += 4 * part {
						m, err := conn.Request("plain", binary.BigEndian.AppendUint64(nil, uint64(at)), 5*time.Second)
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
	})
	b.Run("fresh joiner", func(b *testing.B) {
		b.SetBytes(int64(large))
		for b.Loop() {
			j := newJoiner(b)
			fetch(b, j)
			b.StopTimer()
			_ = j.pages.Close()
			b.StartTimer()
		}
	})
	b.Run("one percent differs", func(b *testing.B) {
		j := newJoiner(b)
		defer func() { _ = j.pages.Close() }()
		for i := range uint32(large / snapshot.PageSize) {
			j.pages.Write(i, memory[int(i)*snapshot.PageSize:][:snapshot.PageSize])
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
				j.pages.Write(source.Uint32N(n), other)
			}
			b.StartTimer()
			j.fresh = span(int(n)) // a replica that was found to differ hashes all it has
			j.root()
			stats := fetch(b, j)
			wire += stats.Bytes + stats.Sent
			differing += uint64(stats.Pages) * snapshot.PageSize
		}
		b.ReportMetric(float64(wire)/float64(differing), "wire/differing")
	})
}
