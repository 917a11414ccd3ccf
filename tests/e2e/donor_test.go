package e2e

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
	"lockstep/ordering/jetstream"
	"lockstep/snapshot"
)

// pulse is when each replica voted: what it applies, as others see it.
type pulse struct {
	mu    sync.Mutex
	beats map[audit.ReplicaID][]time.Time
}

func feel(t testing.TB, c *local.Cluster) *pulse {
	t.Helper()
	conn, err := nats.Connect(c.URLs()[0], jetstream.ConnOptions(t.Name(), nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	p := &pulse{beats: make(map[audit.ReplicaID][]time.Time)}
	if _, err := conn.Subscribe("lockstep.kv.out.*", func(m *nats.Msg) {
		now := time.Now()
		if a, _, err := decodeAnswer(m); err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.beats[a.Vote.Replica] = append(p.beats[a.Vote.Replica], now)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return p
}

// gaps are the times between votes of a replica from one moment to another, those to
// the two ends among them, ascending.
func (p *pulse) gaps(replica audit.ReplicaID, from, to time.Time) (gaps []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := from
	for _, at := range p.beats[replica] {
		if at.After(from) && at.Before(to) {
			gaps = append(gaps, at.Sub(last))
			last = at
		}
	}
	gaps = append(gaps, to.Sub(last))
	slices.Sort(gaps)
	return gaps
}

// givers are three nodes with a machine whose memory has so many MiB of random
// bytes, in a checkpoint behind which the log is cut: who joins must have them sent.
type givers struct {
	*local.Cluster
	cl    *client.Client
	taken chan node.Event // the end of a transfer
}

func startGivers(t testing.TB, mebibytes, rate int) *givers {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	g := &givers{taken: make(chan node.Event, 16)}
	var err error
	if g.Cluster, err = local.Start(ctx, local.Options{
		Dir: t.TempDir(), Engines: []*engine.Engine{shared, shared, shared, shared}, TransferRate: rate,
		OnEvent: func(e node.Event) {
			if e.Kind == node.EventTransferred {
				g.taken <- e
			}
		},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if err := g.Host(ctx, "kv"); err != nil {
		t.Fatal(err)
	}
	if g.cl, err = client.Connect(ctx, client.Options{Machine: "kv", URLs: g.URLs()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.cl.Close() })
	config := host.Config{MaxMemory: uint32(mebibytes+64) * 16, AuditEvery: 1 << 20, CheckpointEvery: 1 << 20}
	if _, err := g.cl.Deploy(ctx, kv.V2, config, []audit.ReplicaID{g.Name(0), g.Name(1), g.Name(2)}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		g.fill(ctx, t, i, mebibytes)
	}
	out, err := g.cl.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for {
		state, err := g.Node(0).Replica("kv").LogState(ctx)
		if err == nil && state.First >= out.Seq {
			return g
		}
		select {
		case <-ctx.Done():
			t.Fatal("the log is not cut behind the checkpoint")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fill gives the memory of a replica random bytes, as its guest might have: the same on all.
func (g *givers) fill(ctx context.Context, t testing.TB, i, mebibytes int) {
	t.Helper()
	r := g.Node(i).Replica("kv")
	for r.Info().Seq == 0 || !r.Info().Deployed {
		select {
		case <-ctx.Done():
			t.Fatal("deploy did not arrive")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := r.Do(ctx, func(m *host.Machine) {
		first, source := uint32(32<<20/snapshot.PageSize), rand.New(rand.NewPCG(1, 2))
		d := snapshot.Delta{Size: uint64(mebibytes+32) << 20}
		for n := range uint32(mebibytes << 20 / snapshot.PageSize) {
			page := make([]byte, snapshot.PageSize)
			for at := 0; at < len(page); at += 8 {
				binary.LittleEndian.PutUint64(page[at:], source.Uint64())
			}
			d.Pages = append(d.Pages, snapshot.Page{Index: first + n, Data: page})
		}
		if err := m.Patch(d); err != nil {
			t.Error(err)
		}
		m.Root()
	}); err != nil {
		t.Fatal(err)
	}
}

// join has one more node take the state while two callers go on, and returns when
// that began and ended.
func (g *givers) join(t testing.TB) (began, ended time.Time, e node.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	i, err := g.Add(ctx)
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if _, err := g.Node(i).Host(ctx, "kv"); err != nil {
		t.Fatal(err)
	}
	select {
	case e = <-g.taken:
		return began, time.Now(), e
	case <-ctx.Done():
		t.Fatal("the state did not arrive")
	}
	return began, ended, e
}

// beat calls one input after the other, at a pace, until it is stopped.
func (g *givers) beat(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				if _, err := g.cl.Call(ctx, kv.Add("n", 1)); err != nil && ctx.Err() == nil {
					t.Errorf("call: %v", err)
					return
				}
				<-pace.C
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); callers.Wait() })
	t.Cleanup(stop)
	return stop
}

// Donors apply inputs all the while that a joiner takes a state from them. The rate
// makes that last seconds, so that a donor which stood still for it would be seen.
func TestDonorsNeverPause(t *testing.T) {
	const mebibytes, rate = 16, 1 << 20 // three donors: six seconds
	g := startGivers(t, mebibytes, rate)
	p := feel(t, g.Cluster)
	stop := g.beat(t)
	began, ended, e := g.join(t)
	stop()
	if e.Bytes < mebibytes<<20 {
		t.Fatalf("%d bytes were sent: that is not the state", e.Bytes)
	}
	lasted := ended.Sub(began)
	if least := 3 * time.Second; lasted < least {
		t.Fatalf("the transfer lasted %v, want %v at least: it shows nothing", lasted, least)
	}
	for i := range 3 {
		gaps := p.gaps(g.Name(i), began, ended)
		longest := gaps[len(gaps)-1]
		t.Logf("donor %s: %d votes in %v, longest gap %v", g.Name(i), len(gaps)-1, lasted, longest)
		if longest > lasted/2 || len(gaps) < 20 {
			t.Errorf("donor %s applied nothing for %v, and %d entries in all, while it gave its state, which lasted %v", g.Name(i), longest, len(gaps)-1, lasted)
		}
	}
}

// BenchmarkDonor is how long a donor applies nothing at most, before a joiner takes its
// state at full speed and meanwhile. LOCKSTEP_BENCH_MIB is the size of the state.
//
//	LOCKSTEP_BENCH_MIB=1024 go test ./tests/e2e -run '^$' -bench Donor -benchtime 1x
func BenchmarkDonor(b *testing.B) {
	mebibytes := 64
	if n, err := strconv.Atoi(os.Getenv("LOCKSTEP_BENCH_MIB")); err == nil {
		mebibytes = n
	}
	for b.Loop() {
		b.StopTimer()
		g := startGivers(b, mebibytes, 0)
		p := feel(b, g.Cluster)
		stop := g.beat(b)
		const quiet = 3 * time.Second
		before := time.Now()
		time.Sleep(quiet)
		b.StartTimer()
		began, ended, _ := g.join(b)
		b.StopTimer()
		stop()
		report := func(when string, from, to time.Time) {
			var all []time.Duration
			for i := range 3 {
				all = append(all, p.gaps(g.Name(i), from, to)...)
			}
			slices.Sort(all)
			ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
			b.ReportMetric(ms(all[len(all)/2]), "p50-gap-ms-"+when)
			b.ReportMetric(ms(all[len(all)*99/100]), "p99-gap-ms-"+when)
			b.ReportMetric(ms(all[len(all)-1]), "longest-gap-ms-"+when)
		}
		report("before", before, before.Add(quiet))
		report("meanwhile", began, ended)
		b.ReportMetric(ended.Sub(began).Seconds(), "transfer-s")
	}
}
