// Package failover measures for how long calls stand still when a node is killed under load.
//
//	go test ./tests/failover -kills=10 -v
package failover

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
)

var kills = flag.Int("kills", 3, "kills of each kind")

func TestMain(m *testing.M) {
	nodeproc.Main()
	flag.Parse()
	os.Exit(m.Run())
}

const (
	machine  = "kv"
	callers  = 8
	patience = 60 * time.Second
	pace     = 2 * time.Millisecond
)

// Bounds on the time until calls are answered again, for the best of several kills: the longest election on a quiet
// machine; and for a follower, whom the others must not wait for at all, ten times what is measured there. No kill may
// cost more than worst, however busy the machine is.
const (
	bestLeader   = 6 * time.Second
	bestFollower = time.Second
	worst        = 30 * time.Second
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T) *nodeproc.Cluster {
	t.Helper()
	c := nodeproc.Start(t, nodeproc.Options{Nodes: 3, Machines: []ordering.Name{machine}})
	cl := connect(t, c, c.URLs()...)
	voters := []audit.ReplicaID{nodeproc.Replica(0), nodeproc.Replica(1), nodeproc.Replica(2)}
	if _, err := cl.Deploy(within(t, patience), kv.V2, host.Config{}, voters); err != nil {
		t.Fatal(err)
	}
	return c
}

func connect(t *testing.T, c *nodeproc.Cluster, urls ...string) *client.Client {
	t.Helper()
	conn, err := jetstream.Dial(within(t, patience), t.Name(), urls, jetstream.Login{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	cl, err := client.Connect(within(t, patience), client.Options{Machine: machine, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// load is callers that keep the times at which they were answered.
type load struct {
	stop     context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	answered []time.Time
	fresh    chan struct{} // an answer came
}

// counts are the additions that each caller was answered.
type counts [callers]int64

// check wants each counter to be what was added to it, and all replicas to have read the same log and to be in the same
// state: nothing that was answered is lost, and nothing was done twice.
func (n *counts) check(t *testing.T, cl *client.Client) {
	t.Helper()
	for i, want := range n {
		out, err := cl.Call(within(t, patience), kv.Add(fmt.Sprint("n", i), 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
			t.Errorf("n%d is %d, %v, after %d additions", i, got, err, want)
		}
	}
	nodeproc.OneState(t, cl, 3)
}

func startLoad(t *testing.T, cl *client.Client, n *counts) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, fresh: make(chan struct{}, 1)}
	t.Cleanup(func() { stop(); l.done.Wait() })
	for i := range callers {
		l.done.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for ctx.Err() == nil {
				try, cancel := context.WithTimeout(context.Background(), patience) // not cut off by the end of the test
				_, err := cl.Call(try, kv.Add(fmt.Sprint("n", i), 1))
				cancel()
				if err != nil {
					t.Errorf("call failed: %v", err)
					return
				}
				n[i]++
				l.mu.Lock()
				l.answered = append(l.answered, time.Now())
				l.mu.Unlock()
				select {
				case l.fresh <- struct{}{}:
				default:
				}
				<-tick.C
			}
		})
	}
	return l
}

// gap waits until calls have been answered for a second after a time, and returns the longest time without an answer from
// then on.
func (l *load) gap(t *testing.T, from time.Time) time.Duration {
	t.Helper()
	const answers = 50
	ctx := within(t, patience)
	for {
		l.mu.Lock()
		i, _ := slices.BinarySearchFunc(l.answered, from, time.Time.Compare)
		after := slices.Clone(l.answered[i:])
		l.mu.Unlock()
		if len(after) >= answers && after[len(after)-1].Sub(from) > time.Second {
			longest := after[0].Sub(from)
			for k := range after[1:] {
				longest = max(longest, after[k+1].Sub(after[k]))
			}
			return longest
		}
		select {
		case <-l.fresh:
		case <-ctx.Done():
			t.Fatal("calls are not answered again")
		}
	}
}

func leader(t *testing.T, c *nodeproc.Cluster) int {
	t.Helper()
	conn := c.Connect(t, jetstream.Login{})
	defer conn.Close()
	ctx := within(t, patience)
	for ctx.Err() == nil {
		if i := c.Leader(ctx, conn, machine); i >= 0 {
			return i
		}
	}
	t.Fatal("the log has no leader")
	return -1
}

func awaitVoting(t *testing.T, cl *client.Client) {
	t.Helper()
	ctx := within(t, patience)
	for ctx.Err() == nil {
		infos, err := cl.Infos(ctx)
		voting := 0
		for _, in := range infos {
			if in.Phase == host.PhaseVoting {
				voting++
			}
		}
		if err == nil && voting == 3 {
			return
		}
	}
	t.Fatal("the killed replica does not vote again")
}

func report(t *testing.T, what string, gaps []time.Duration, best time.Duration) {
	t.Helper()
	slices.Sort(gaps)
	t.Logf("%s, %d kills: answered again after %v at best, %v at the median, %v at worst", what, len(gaps),
		gaps[0].Round(time.Millisecond), gaps[len(gaps)/2].Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond))
	if gaps[0] > best || gaps[len(gaps)-1] > worst {
		t.Errorf("calls stood still for %v, want at most %v once and %v always", gaps, best, worst)
	}
}

// With the node killed whose server leads the log, under load, calls are answered again as soon as the others have elected;
// none fails. Clients may be connected to the one that is killed.
func TestLeaderKilled(t *testing.T) {
	c := start(t)
	cl := connect(t, c, c.URLs()...)
	var n counts
	l := startLoad(t, cl, &n)
	var gaps []time.Duration
	for range *kills {
		l.gap(t, time.Now())
		i := leader(t, c)
		began := time.Now()
		c.Kill(i)
		gaps = append(gaps, l.gap(t, began))
		c.Start(t, i)
		awaitVoting(t, cl)
	}
	l.stop()
	l.done.Wait()
	report(t, "leader of the log", gaps, bestLeader)
	n.check(t, cl)
}

// With another node killed, nobody waits for it. The client is connected to one that stays.
func TestFollowerKilled(t *testing.T) {
	c := start(t)
	var gaps []time.Duration
	var n counts
	for k := range *kills {
		i := leader(t, c)
		cl := connect(t, c, c.URL(i))
		l := startLoad(t, cl, &n)
		l.gap(t, time.Now())
		follower := (i + 1 + k%2) % 3
		began := time.Now()
		c.Kill(follower)
		gaps = append(gaps, l.gap(t, began))
		l.stop()
		l.done.Wait()
		c.Start(t, follower)
		awaitVoting(t, cl)
	}
	report(t, "a follower", gaps, bestFollower)
	n.check(t, connect(t, c, c.URLs()...))
}
