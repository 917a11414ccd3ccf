package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/epochs"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/memlog"
)

// machine is the name of the machine that clusters host.
const machine = "sim"

// patience is how long anything may take that a test waits for.
const patience = 60 * time.Second

// cluster is nodes as they are in production, but for the log, which is in memory
// and faulty, and their NATS, which is one server in this process.
type cluster struct {
	t      *testing.T
	rng    *rand.Rand // of the test's own goroutine
	nats   *server.Server
	conn   *nats.Conn
	log    *memlog.Server // of the first epoch
	engine *engine.Engine
	nodes  []*simNode
	states *statesChecker
	output *outputsChecker

	mu   sync.Mutex
	logs map[place]*memlog.Server // of later ones
}

// place is where a log of a later epoch is.
type place struct {
	epoch ordering.Epoch
	apart bool // on servers that have not found together with the others
}

type simNode struct {
	name audit.ReplicaID
	dir  string
	lies map[ordering.Seq][]byte // what the log shows to this node alone
	lost atomic.Bool             // the log of the first epoch looks broken to this node
	deaf bool                    // it neither says nor hears which chain replicas have
	// apart says that its servers do not know the logs that were made by others, nor those its.
	apart  atomic.Bool
	prunes atomic.Int64  // how often it had the logs of epochs before deleted; the first time fails
	looked atomic.Int64  // how often it looked for the log of a later epoch
	held   chan struct{} // until it is closed, nothing that a later epoch's log has comes to the replica; nil: it comes
	conn   *nats.Conn
	node   *node.Node
}

func newCluster(t *testing.T, seed uint64, e *engine.Engine) *cluster {
	t.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "sim", DontListen: true, NoSigs: true, NoLog: true, Users: users(), NoAuthUser: "any"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	c := &cluster{
		t: t, rng: rand.New(rand.NewPCG(seed, 5)), nats: s, engine: e,
		log:  memlog.New(memlog.Config{Seed: seed, Faults: memlog.Faults{Delay: time.Millisecond}}),
		logs: make(map[place]*memlog.Server),
	}
	c.conn = c.connect("any")
	c.states, c.output = newStatesChecker(c.conn, t), newOutputsChecker(c.conn, t)
	dir := t.TempDir()
	for i := range 3 {
		n := &simNode{name: audit.ReplicaID(fmt.Sprint("n", i+1)), dir: filepath.Join(dir, fmt.Sprint("n", i+1)), lies: make(map[ordering.Seq][]byte)}
		c.nodes = append(c.nodes, n)
		c.start(i)
		if _, err := n.node.Host(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.crash(i) })
	}
	return c
}

// users are one who may do anything, and one who is kept from the subject on which replicas tell each other which chain
// they have: a replica that is connected so is not stopped when it is given another log than the others.
func users() []*server.User {
	stands := &server.SubjectPermission{Deny: []string{epochs.StandSubject(machine)}}
	return []*server.User{
		{Username: "any", Password: "any"},
		{Username: "deaf", Password: "deaf", Permissions: &server.Permissions{Publish: stands, Subscribe: stands}},
	}
}

func (c *cluster) connect(user string) *nats.Conn {
	c.t.Helper()
	refused := func(*nats.Conn, *nats.Subscription, error) {} // as it is to be
	conn, err := nats.Connect("", nats.InProcessServer(c.nats), nats.UserInfo(user, user), nats.ErrorHandler(refused))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.Close)
	return conn
}

// start starts a node with what it has on disk.
func (c *cluster) start(i int) {
	c.t.Helper()
	if err := c.open(i); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) open(i int) error {
	c.t.Helper()
	n := c.nodes[i]
	n.conn = c.connect(map[bool]string{false: "any", true: "deaf"}[n.deaf])
	opened, err := node.Open(c.t.Context(), node.Options{
		Name: n.name, Dir: n.dir, Conn: n.conn, Engine: c.engine, ConfirmBreak: time.Second,
		OpenLog: func(_ context.Context, _ ordering.Name, epoch ordering.Epoch) (ordering.Log, error) {
			if epoch > 1 {
				n.looked.Add(1)
			}
			s := c.logAt(place{epoch, n.apart.Load()}, 0)
			if s == nil {
				return nil, ordering.ErrNotFound
			}
			log := s.Open()
			if epoch == 1 {
				for seq, lie := range n.lies {
					log.Rewrite(seq, lie)
				}
			}
			return &nodeLog{Log: log, node: n, epoch: epoch}, nil
		},
		Found: func(_ context.Context, _ ordering.Name, epoch ordering.Epoch, first ordering.Seq, _ int) (ordering.Founding, error) {
			return c.logAt(place{epoch, n.apart.Load()}, first).Found(), nil
		},
		Prune: func(context.Context, ordering.Name, ordering.Epoch) error {
			if n.prunes.Add(1) == 1 {
				return errors.New("not now")
			}
			return nil
		},
		Logger: slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err == nil {
		n.node = opened
	}
	return err
}

// nodeLog is a log as one node's replica sees it.
type nodeLog struct {
	*memlog.Log
	node    *simNode
	epoch   ordering.Epoch
	entered atomic.Bool
}

// Resume is what a replica does once it has entered the epoch.
func (l *nodeLog) Resume(after ordering.Entry) {
	l.entered.Store(true)
	l.Log.Resume(after)
}

func (l *nodeLog) Read(ctx context.Context, from ordering.Seq) ([]ordering.Entry, error) {
	if held := l.node.held; held != nil && l.epoch > 1 && l.entered.Load() {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	got, err := l.Log.Read(ctx, from)
	if l.epoch == 1 && l.node.lost.Load() {
		return nil, &ordering.BreakError{Epoch: 1, Seq: from, Reason: "what was read is gone"}
	}
	return got, err
}

// crash takes a node away in the middle of whatever it does. What it had on disk
// stays.
func (c *cluster) crash(i int) {
	n := c.nodes[i]
	if n.node == nil {
		return
	}
	n.conn.Close() // nobody hears its last words
	_ = n.node.Close()
	n.node, n.conn = nil, nil
}

// asyncLog is a handle of the log as clients use it.
type asyncLog struct {
	*memlog.Log
	pending sync.WaitGroup
}

func (l *asyncLog) AppendAsync(data []byte, done func(ordering.Seq, error)) error {
	data = slices.Clone(data)
	l.pending.Go(func() { done(l.Append(context.Background(), data)) })
	return nil
}

func (l *asyncLog) Close() error {
	err := l.Log.Close()
	l.pending.Wait()
	return err
}

func (c *cluster) openLog(epoch ordering.Epoch) (client.Log, error) {
	s := c.logOf(epoch)
	if s == nil {
		return nil, ordering.ErrNotFound
	}
	return &asyncLog{Log: s.Open()}, nil
}

// logOf is the log of an epoch, if it is there.
func (c *cluster) logOf(epoch ordering.Epoch) *memlog.Server { return c.logAt(place{epoch: epoch}, 0) }

// logAt is the log of an epoch at some servers. One that is not there is made if it is to begin somewhere.
func (c *cluster) logAt(at place, first ordering.Seq) *memlog.Server {
	if at.epoch == 1 {
		return c.log
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logs[at] == nil && first > 0 {
		c.logs[at] = memlog.New(memlog.Config{Epoch: at.epoch, First: first, Faults: memlog.Faults{Delay: time.Millisecond}, Founding: true})
	}
	return c.logs[at]
}

// newest is the log of the newest epoch, but of those apart.
func (c *cluster) newest() *memlog.Server {
	c.mu.Lock()
	epoch := ordering.Epoch(1)
	for at := range c.logs {
		if !at.apart {
			epoch = max(epoch, at.epoch)
		}
	}
	c.mu.Unlock()
	return c.logOf(epoch)
}

// client opens a session that finds whatever the log loses by asking again.
func (c *cluster) client() *client.Client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	cl, err := client.Connect(ctx, client.Options{Machine: machine, Conn: c.conn, OpenLog: c.openLog, Retry: 100 * time.Millisecond})
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

func (c *cluster) deploy(mode audit.Mode) {
	c.t.Helper()
	c.deployWith(host.Config{AuditEvery: 8, CheckpointEvery: 40, Mode: mode})
}

func (c *cluster) deployWith(config host.Config) {
	c.t.Helper()
	cl := c.client()
	defer func() { _ = cl.Close() }()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if _, err := cl.Deploy(ctx, kv.V2, config, []audit.ReplicaID{"n1", "n2", "n3"}); err != nil {
		c.t.Fatal(err)
	}
	members, err := cl.Members(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	c.states.know(members)
	c.output.know(members)
}

// last is the newest position of the log.
func (c *cluster) last() ordering.Seq {
	c.t.Helper()
	log := c.newest().Open()
	defer func() { _ = log.Close() }()
	state, err := log.State(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return state.Last
}

// settled waits until every node that runs, but for those excused, is at the end
// of the log, and returns what a count of it there is.
func (c *cluster) settled(excused func(int) bool, counters []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for i, n := range c.nodes {
		if excused(i) {
			continue
		}
		r := n.node.Replica(machine)
		for r.Info().Seq < c.last() || r.Info().Phase != host.PhaseVoting {
			select {
			case <-ctx.Done():
				c.t.Fatalf("%s is at %d and %v, the log ends at %d", n.name, r.Info().Seq, r.Info().Phase, c.last())
			case <-time.After(5 * time.Millisecond):
			}
		}
		if err := r.Do(ctx, func(m *host.Machine) { c.states.end(n.name, m, counters) }); err != nil {
			c.t.Fatal(err)
		}
	}
}
