// Package membership changes the membership of running clusters: real processes, with calls
// under way all the time.
package membership

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/client/membership"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
)

func TestMain(m *testing.M) {
	nodeproc.Main()
	os.Exit(m.Run())
}

const (
	machine  = "kv"
	patience = 60 * time.Second
	pace     = 15 * time.Millisecond // of one caller, at least: the two cores of a small machine have room for the change itself
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// deployed starts nodes, of which the first some vote.
func deployed(t *testing.T, o nodeproc.Options, voters int) (*nodeproc.Cluster, *membership.Cluster) {
	t.Helper()
	c := nodeproc.Start(t, o)
	conn := c.Connect(t, jetstream.Login{})
	cl, err := client.Connect(within(t, patience), client.Options{Machine: machine, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	var ids []audit.ReplicaID
	for i := range voters {
		ids = append(ids, nodeproc.Replica(i))
	}
	if _, err := cl.Deploy(within(t, patience), kv.V2, host.Config{AuditEvery: 16, CheckpointEvery: 128}, ids); err != nil {
		t.Fatal(err)
	}
	m := &membership.Cluster{
		Machine: machine, Client: cl, Conn: conn, System: c.Connect(t, nodeproc.System), Embedded: true,
		OnStep: func(s string) { t.Log(s) },
	}
	return c, m
}

// load adds to a few counters until it is stopped, and checks each answer: no addition is lost
// or made twice.
type load struct {
	stop    context.CancelFunc
	done    sync.WaitGroup
	calls   atomic.Int64
	failed  atomic.Int64
	slowest atomic.Int64 // nanoseconds
	client  *client.Client
	counts  []int64 // of additions that were answered, by caller; read after end
}

func counter(i int) string { return fmt.Sprintf("counter-%d", i) }

func startLoad(t *testing.T, c *nodeproc.Cluster, callers int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	t.Cleanup(l.end)
	conn := c.Connect(t, jetstream.Login{})
	cl, err := client.Connect(within(t, patience), client.Options{Machine: machine, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.end(); _ = cl.Close() })
	l.client, l.counts = cl, make([]int64, callers)
	for i := range callers {
		l.done.Go(func() {
			key := counter(i)
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for want := int64(1); ctx.Err() == nil; want++ {
				began := time.Now()
				try, cancel := context.WithTimeout(context.Background(), patience) // not cut off by the end of the test
				out, err := cl.Call(try, kv.Add(key, 1))
				cancel()
				if err != nil {
					l.failed.Add(1)
					t.Errorf("call failed: %v", err)
					return
				}
				if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
					t.Errorf("%s is %d, %v, want %d", key, got, err, want)
					return
				}
				l.calls.Add(1)
				l.counts[i]++
				for took := int64(time.Since(began)); ; {
					old := l.slowest.Load()
					if took <= old || l.slowest.CompareAndSwap(old, took) {
						break
					}
				}
				<-tick.C
			}
		})
	}
	return l
}

func (l *load) end() {
	l.stop()
	l.done.Wait()
}

// check ends the load, and wants each counter to be what was added to it: nothing that was answered is lost, and nothing
// was done twice.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	t.Logf("%d calls, %d failed, the slowest took %v", l.calls.Load(), l.failed.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond))
	for i, want := range l.counts {
		out, err := l.client.Call(within(t, patience), kv.Add(counter(i), 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
			t.Errorf("%s is %d, %v, after %d additions", counter(i), got, err, want)
		}
	}
}

// await waits until some more calls were answered.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	want := l.calls.Load() + n
	await(t, "calls to go on", func() bool { return l.calls.Load() >= want })
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := within(t, patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		case <-tick.C:
		}
	}
}

// fill gives the machine a state that takes some bytes to bring.
func fill(t *testing.T, m *membership.Cluster) (bytes uint64) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	for i := range 64 {
		value := make([]byte, 4096)
		_, _ = random.Read(value) // never fails
		if _, err := m.Client.Call(within(t, patience), kv.Put(fmt.Sprintf("value-%d", i), value)); err != nil {
			t.Fatal(err)
		}
		bytes += uint64(len(value))
	}
	return bytes
}

// stream asks for the log's stream. A question is lost if the server that has it is killed: it is asked again.
func stream(t *testing.T, m *membership.Cluster) (in *njs.StreamInfo) {
	t.Helper()
	js, err := njs.New(m.Conn)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "an answer for the stream", func() bool {
		s, err := js.Stream(within(t, 2*time.Second), jetstream.Ref{Machine: machine, Epoch: 1}.StreamName())
		if err == nil {
			in = s.CachedInfo()
		}
		return err == nil && in.Cluster != nil && in.Cluster.Leader != ""
	})
	return in
}

// awaitCut waits until the log begins after what it ends with now: who has not read that needs a state.
func awaitCut(t *testing.T, m *membership.Cluster) {
	t.Helper()
	end := stream(t, m).State.LastSeq
	await(t, "the log to be cut", func() bool { return stream(t, m).State.FirstSeq > end })
}

// keepers are the servers that keep the log, and as many as there should be.
func keepers(t *testing.T, m *membership.Cluster) (names map[string]bool, replicas int) {
	t.Helper()
	in := stream(t, m)
	names = map[string]bool{in.Cluster.Leader: true}
	for _, p := range in.Cluster.Replicas {
		names[p.Name] = true
	}
	return names, in.Config.Replicas
}

// wantMembers wants these voters, and as many copies of the log.
func wantMembers(t *testing.T, m *membership.Cluster, voters, copies int, not ...int) {
	t.Helper()
	members, err := m.Client.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	if members.Voters() != voters {
		t.Errorf("there are %d voters, want %d: %v", members.Voters(), voters, members)
	}
	names, replicas := keepers(t, m)
	if len(names) != copies || replicas != copies {
		t.Errorf("the log is on %v with %d copies, want %d", names, replicas, copies)
	}
	for _, i := range not {
		if _, is := members.Voter(nodeproc.Replica(i)); is || names[nodeproc.Name(i)] {
			t.Errorf("%s votes or keeps the log: %v, %v", nodeproc.Name(i), members, names)
		}
	}
}

// 1 → 3 → 5 → 3 voters under load, in processes, without a failed call; the log's copies follow.
func TestGrowAndShrink(t *testing.T) {
	t.Parallel()
	c, m := deployed(t, nodeproc.Options{Nodes: 3, Most: 5, Machines: []ordering.Name{machine}}, 1)
	ctx := within(t, 5*patience)
	l := startLoad(t, c, 4)
	change := func(what string, f func(context.Context, audit.ReplicaID) error, i int) {
		t.Helper()
		began := time.Now()
		if err := f(ctx, nodeproc.Replica(i)); err != nil {
			t.Fatalf("%s %s: %v", what, nodeproc.Name(i), err)
		}
		t.Logf("%s %s took %v", what, nodeproc.Name(i), time.Since(began).Round(time.Millisecond))
		l.await(t, 100)
	}
	l.await(t, 100)
	change("join", m.Join, 1)
	change("join", m.Join, 2)
	wantMembers(t, m, 3, 3)
	for range 2 {
		change("join", m.Join, c.Add(t, -1))
	}
	wantMembers(t, m, 5, 5)
	change("quit", m.Quit, 0)
	change("quit", m.Quit, 2)
	wantMembers(t, m, 3, 3)
	for _, i := range []int{0, 2} { // they are not needed any more
		c.Kill(i)
		l.await(t, 100)
		if err := m.Forget(ctx, nodeproc.Name(i)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the copies to leave the servers that are forgotten", func() bool {
		names, _ := keepers(t, m)
		return len(names) == 3 && !names[nodeproc.Name(0)] && !names[nodeproc.Name(2)]
	})
	l.await(t, 100)
	l.check(t)
	wantMembers(t, m, 3, 3, 0, 2)
	nodeproc.OneState(t, m.Client, 3)
}

// A node that is lost for ever is replaced under load. What it was is forgotten: two more faults of a kind
// that a cluster of three bears do not stop it. Its disk comes back under a new name, without the
// server's files, and only what differs is transferred.
func TestReplace(t *testing.T) {
	t.Parallel()
	c, m := deployed(t, nodeproc.Options{Nodes: 3, Most: 5, Machines: []ordering.Name{machine}}, 3)
	ctx := within(t, 5*patience)
	l := startLoad(t, c, 4)
	l.await(t, 100)
	full := fill(t, m)
	c.Kill(0)
	awaitCut(t, m)
	fresh := c.Add(t, -1)
	if err := m.Replace(ctx, nodeproc.Replica(0), nodeproc.Replica(fresh)); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, m, 3, 3, 0)
	c.Kill(1) // of three that count, not of four
	l.await(t, 100)
	c.Start(t, 1)
	awaitVoting(t, m, 3)

	if err := m.Quit(ctx, nodeproc.Replica(2)); err != nil {
		t.Fatal(err)
	}
	c.Kill(2)
	awaitCut(t, m)
	if err := m.Forget(ctx, nodeproc.Name(2)); err != nil {
		t.Fatal(err)
	}
	back := c.Add(t, 2)
	if err := m.Join(ctx, nodeproc.Replica(back)); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, m, 3, 3, 0, 2)
	new, _ := c.Moved(t, fresh)
	old, size := c.Moved(t, back)
	t.Logf("the new disk was brought %d bytes, the old one %d of a state of %d", new, old, size)
	if new < full || old == 0 || old > full/4 {
		t.Errorf("the node with the old disk was brought %d bytes, and the new one %d, of values of %d", old, new, full)
	}
	l.await(t, 100)
	l.check(t)
	nodeproc.OneState(t, m.Client, 3)
}

func awaitVoting(t *testing.T, m *membership.Cluster, n int) {
	t.Helper()
	await(t, "the replicas to vote", func() bool {
		infos, err := m.Client.Infos(within(t, patience))
		voting := 0
		for _, in := range infos {
			if in.Phase == host.PhaseVoting {
				voting++
			}
		}
		return err == nil && voting == n
	})
}

// Without a majority there is no answer, and no wrong one; no change of the membership is made that would leave
// none. Once it is back, what was asked meanwhile is done once or not at all.
func TestMajorityLost(t *testing.T) {
	t.Parallel()
	c, m := deployed(t, nodeproc.Options{Nodes: 3, Machines: []ordering.Name{machine}}, 3)
	ctx := within(t, 2*patience)
	if _, err := m.Client.Call(ctx, kv.Add("n", 1)); err != nil {
		t.Fatal(err)
	}
	c.Kill(1)
	if err := m.Quit(ctx, nodeproc.Replica(2)); !errors.Is(err, membership.ErrUnsafe) {
		t.Errorf("quit of one of the two that are left: %v, want ErrUnsafe", err)
	}
	if err := m.Forget(ctx, nodeproc.Name(2)); !errors.Is(err, membership.ErrRuns) {
		t.Errorf("forget a server that runs: %v, want ErrRuns", err)
	}
	if err := m.Join(ctx, "nobody"); err == nil {
		t.Error("nobody has joined")
	}
	c.Kill(2)
	try, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var fail *client.FailError
	if out, err := m.Client.Call(try, kv.Add("n", 1)); !errors.As(err, &fail) {
		t.Fatalf("with one voter of three: %v, %v, want FAIL", out, err)
	}
	c.Start(t, 1)
	out, err := m.Client.Call(ctx, kv.Add("n", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != 2 && got != 3 {
		t.Errorf("n is %d, %v, after two or three additions", got, err)
	}
}
