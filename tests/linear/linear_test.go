package linear

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/client/membership"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
)

//go:embed guest/guest.wasm
var guest []byte

const (
	machine  = "m"
	callers  = 5
	patience = 60 * time.Second
	judging  = 60 * time.Second
)

var (
	runs    = flag.Int("runs", 2, "histories to check")
	verbose = flag.Bool("nodelog", false, "print what the nodes log")
	first   = flag.Uint64("seed", 1, "of the first history; the others follow")
	under   = flag.Duration("under", 4*time.Second, "how long faults are made in each")
	most    = flag.Int("together", 2, "faults under way at once, at most")
)

func TestMain(m *testing.M) {
	nodeproc.Main()
	flag.Parse()
	os.Exit(m.Run())
}

// mark begins the guest's state: guest.c.
const mark = "col_mark"

// flipAt is the place of a byte in the guest's state, where a flipped bit is sure to be read.
func flipAt(r *rand.Rand) int {
	if r.IntN(2) == 0 {
		return 8 + 8*r.IntN(3) // a register
	}
	return 8 + 8*(3*slots+2+places) + 8*r.IntN(4) // a balance
}

// start starts three nodes that vote.
func start(t *testing.T, program string, seed uint64) *trial {
	t.Helper()
	return startWith(t, program, seed, host.Config{MaxMemory: 2, AuditEvery: 16, CheckpointEvery: 128})
}

func startWith(t *testing.T, program string, seed uint64, config host.Config) *trial {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := nodeproc.Start(t, nodeproc.Options{Nodes: 3, Most: 4, Machines: []ordering.Name{machine}, Verbose: *verbose, Program: program})
	conn := c.Connect(t, jetstream.Login{})
	cl := connect(t, c)
	voters := []audit.ReplicaID{nodeproc.Replica(0), nodeproc.Replica(1), nodeproc.Replica(2)}
	if _, err := cl.Deploy(ctx, guest, config, voters); err != nil {
		t.Fatal(err)
	}
	return &trial{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), cluster: c, conn: conn, voters: []int{0, 1, 2},
		members: &membership.Cluster{Machine: machine, Client: cl, Conn: conn, System: c.Connect(t, nodeproc.System), Embedded: true, OnStep: func(s string) { t.Log(s) }},
	}
}

func connect(t *testing.T, c *nodeproc.Cluster) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl, err := client.Connect(ctx, client.Options{Machine: machine, Conn: c.Connect(t, jetstream.Login{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// Under every fault that is borne, and some that are not, no call gets a wrong answer: there is an order of all calls, each
// between its beginning and its end, in which one machine alone gives these answers. Afterwards all voters
// have read the same log and are in the same state.
func TestLinearizable(t *testing.T) {
	program := nodeproc.BuildClocked(t)
	for i := range uint64(*runs) {
		seed := *first + i
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			tr := start(t, program, seed)
			defer func() {
				if t.Failed() {
					t.Logf("faults: %v\nto repeat: go test ./tests/linear -run 'TestLinearizable' -runs=1 -seed=%d", tr, seed)
				}
			}()
			r := newRecorder()
			ctx, cancel := context.WithTimeout(t.Context(), *under)
			defer cancel()
			var done sync.WaitGroup
			for k := range callers {
				c := connect(t, tr.cluster)
				done.Go(func() { r.run(ctx, t, c, seed*100+uint64(k)) })
			}
			tr.rounds(ctx)
			tr.cluster.Mend(t, tr.gone...)
			done.Wait()
			r.end(t, connect(t, tr.cluster))
			tr.oneState()
			if err := judge(r.calls); err != nil {
				t.Error(err)
			}
			t.Logf("%d calls, %d without an answer; faults: %v", len(r.calls), r.calls.open(), tr)
		})
		if t.Failed() {
			return // what follows would only take time
		}
	}
}

// judge looks for an order of the calls of each machine.
func judge(h history) error {
	var wrong []error
	for _, check := range checkers() {
		wrong = append(wrong, check(h, judging))
	}
	return errors.Join(wrong...)
}

// open is the number of calls without an answer that may have changed something.
func (h history) open() (n int) {
	for _, o := range h {
		if o.Return == never {
			n++
		}
	}
	return n
}

// oneState orders a checkpoint and wants all voters to have stored the same there, after the same log.
func (tr *trial) oneState() {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var infos []host.Info
	for {
		// A voter that was wrong votes again first; what it stored before is another's.
		out, err := tr.members.Client.Checkpoint(ctx)
		for look := 0; err == nil && look < 20; look++ {
			if infos, err = tr.members.Client.Infos(ctx); err == nil && tr.allStored(infos, out.Seq) {
				return
			}
			<-tick.C
		}
		if ctx.Err() != nil {
			tr.t.Fatalf("the voters do not come to one state: %v, %+v", err, infos)
		}
	}
}

func (tr *trial) allStored(infos []host.Info, at ordering.Seq) bool {
	var stored []host.Stored
	for _, in := range infos {
		for _, s := range in.Stored {
			if s.Seq == at && in.Phase == host.PhaseVoting {
				stored = append(stored, s)
			}
		}
	}
	for _, s := range stored[min(1, len(stored)):] {
		if s != stored[0] {
			tr.t.Fatalf("voters stored different states at %d: %+v", at, stored)
		}
	}
	return len(stored) == len(tr.voters)
}
