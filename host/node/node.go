// Package node runs replicas: it carries out what the pure host.Machine says.
// Here live the clocks, goroutines, files and messages.
//
// A replica is one goroutine, its loop, that owns the machine:
//
//	entry from the log → Apply → vote to the client → audit record → checkpoint
//
// Around it run a reader of the log, a writer of checkpoints, and the answering
// of requests from stored data. A replica that a majority finds different stops
// voting, fetches the pages that differ and votes again; one that comes back or
// is new fetches a checkpoint and follows the log. See replica.go.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/engine"
	"lockstep/host/metrics"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/journal/durable"
	"lockstep/snapshot/store"
	"lockstep/snapshot/transfer"
)

// Options of a node. Name, Dir and Conn are required.
type Options struct {
	Name audit.ReplicaID // of the node and of all its replicas; unique in the cluster, and for ever
	Dir  string          // all that the node keeps on disk
	Conn *nats.Conn      // to the node's own NATS server; the caller closes it after the node
	// Engine runs the guests; nodes of one process may share one. Nil: the node
	// has a compiling one of its own, with a cache in Dir.
	Engine *engine.Engine
	// Keep is the number of newest checkpoints kept of each machine, beside the last that a majority has alike; 0 is DefaultKeep.
	Keep int
	// TransferRate bounds the bytes per second that the node sends of its states and
	// modules, over all who fetch them, but not below transfer.MinLimit; 0: no bound.
	TransferRate int
	// MaxMemory bounds the memory in bytes that the guests of all machines may come to
	// take, by Resident of their limits; 0: no bound.
	MaxMemory uint64
	// ConfirmBreak is how long the log's leader must repeat that entries are gone
	// until it is believed; see jetstream.Options.
	ConfirmBreak time.Duration
	// OpenLog opens the log of a machine's epoch; nil opens the one that JetStream
	// keeps. Simulations give another. It is asked again until it succeeds, save
	// on ordering.ErrNotFound and a *ordering.BreakError.
	OpenLog func(ctx context.Context, machine ordering.Name, epoch ordering.Epoch) (ordering.Log, error)
	// Found makes the log of a machine's next epoch, whose first entry is at first; nil makes it in
	// JetStream. It is kept by as many servers as the log before, or, if least is not 0, by as many as there are
	// but at least so many.
	Found func(ctx context.Context, machine ordering.Name, epoch ordering.Epoch, first ordering.Seq, least int) (ordering.Founding, error)
	// Prune deletes the logs of a machine's epochs before one; nil deletes them from JetStream.
	Prune   func(ctx context.Context, machine ordering.Name, before ordering.Epoch) error
	Metrics *metrics.Node // nil: none
	Logger  *slog.Logger  // nil: none
	OnEvent func(Event)   // nil: none. Called from replicas' loops: it must not block
}

// DefaultKeep is the number of newest checkpoints kept of each machine.
const DefaultKeep = 2

// Node hosts replicas of machines.
type Node struct {
	opts    Options
	store   *store.Store
	modules *modules
	limit   *transfer.Limit
	ctx     context.Context
	stop    context.CancelFunc

	budget     budget
	queryBytes atomic.Int64 // of questions that wait, of all replicas

	mu       sync.Mutex
	replicas map[ordering.Name]*Replica
}

// Open starts a node and the replicas that it hosted before.
func Open(ctx context.Context, opts Options) (*Node, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(Event) {}
	}
	if opts.OpenLog == nil {
		opts.OpenLog = opts.openJetStream
	}
	if opts.ConfirmBreak == 0 {
		opts.ConfirmBreak = jetstream.DefaultConfirmBreak
	}
	if opts.Found == nil {
		opts.Found = opts.foundJetStream
	}
	if opts.Prune == nil {
		opts.Prune = func(ctx context.Context, machine ordering.Name, before ordering.Epoch) error {
			return jetstream.Prune(ctx, opts.Conn, jetstream.Ref{Machine: machine, Epoch: before})
		}
	}
	if opts.Keep == 0 {
		opts.Keep = DefaultKeep
	}
	opts.Logger = opts.Logger.With("node", string(opts.Name))
	n := &Node{opts: opts, budget: budget{bound: opts.MaxMemory}, limit: transfer.NewLimit(opts.TransferRate), replicas: make(map[ordering.Name]*Replica)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// openJetStream opens a log on the node's connection.
func (o Options) openJetStream(ctx context.Context, machine ordering.Name, epoch ordering.Epoch) (ordering.Log, error) {
	log, err := jetstream.Open(ctx, o.Conn, jetstream.Ref{Machine: machine, Epoch: epoch}, jetstream.Options{ConfirmBreak: o.ConfirmBreak})
	if err != nil {
		return nil, err
	}
	return log, nil
}

func (o Options) foundJetStream(ctx context.Context, machine ordering.Name, epoch ordering.Epoch, first ordering.Seq, least int) (ordering.Founding, error) {
	return jetstream.Found(ctx, o.Conn, jetstream.Config{Ref: jetstream.Ref{Machine: machine, Epoch: epoch}, FirstSeq: first, Least: least})
}

func (n *Node) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(n.path("machines"), 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := durable.Sweep(n.opts.Dir); err != nil {
		return fmt.Errorf("remove what a crash left: %w", err)
	}
	if n.store, err = n.openStore(n.path("state")); err != nil {
		return fmt.Errorf("open checkpoint store: %w", err)
	}
	if n.modules, err = openModules(n.path("modules"), n.opts.Engine); err != nil {
		return err
	}
	hosted, err := os.ReadDir(n.path("machines"))
	if err != nil {
		return fmt.Errorf("list machines: %w", err)
	}
	for _, d := range hosted {
		if _, err := n.Host(ctx, ordering.Name(d.Name())); err != nil {
			return fmt.Errorf("host machine %s again: %w", d.Name(), err)
		}
	}
	return nil
}

// openStore opens the checkpoint store. One whose files are bad is set aside: the
// replicas get their states from the log and from others.
func (n *Node) openStore(dir string) (*store.Store, error) {
	s, err := store.Open(dir)
	if !store.IsCorrupt(err) {
		return s, err
	}
	aside, asideErr := store.SetAside(dir)
	if asideErr != nil {
		return nil, errors.Join(err, asideErr)
	}
	n.opts.Logger.Error("checkpoint store is corrupt; starting without it", "set aside as", aside, "err", err)
	return store.Open(dir)
}

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.opts.Dir}, parts...)...)
}

// Name is the node's, and that of all its replicas.
func (n *Node) Name() audit.ReplicaID { return n.opts.Name }

// Host starts a replica of a machine whose log exists, and goes on hosting it
// after a restart. The replica observes until an ordered input makes it a
// voter. Hosting what is hosted already changes nothing.
func (n *Node) Host(ctx context.Context, machine ordering.Name) (*Replica, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.replicas[machine]; r != nil {
		return r, nil
	}
	if err := machine.Validate(); err != nil {
		return nil, err
	}
	dir := n.path("machines", string(machine))
	_, err := os.Stat(dir)
	first := errors.Is(err, fs.ErrNotExist)
	key, err := openKey(dir)
	if err != nil {
		return nil, err
	}
	r, err := startReplica(ctx, n, machine, key)
	if err != nil {
		if first && (errors.Is(err, ordering.ErrNotFound) || noMemory(err)) {
			err = errors.Join(err, os.RemoveAll(dir)) // or the node would host it again at its next start
		}
		return nil, fmt.Errorf("host machine %s: %w", machine, err)
	}
	n.replicas[machine] = r
	return r, nil
}

// Replica returns the node's replica of a machine, or nil.
func (n *Node) Replica(machine ordering.Name) *Replica {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.replicas[machine]
}

// runs tells whether a machine of the node runs a module.
func (n *Node) runs(module audit.Digest) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.replicas {
		if in := r.Info(); in.Deployed && in.Module == module {
			return true
		}
	}
	return false
}

// Machines lists the machines that the node hosts, ascending.
func (n *Node) Machines() []ordering.Name {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.replicas))
}

// Close stops the replicas and closes what is open on disk. Nothing is lost by
// not calling it: a node that is killed starts again from its last checkpoint.
func (n *Node) Close() error {
	n.stop()
	n.mu.Lock()
	replicas := slices.Collect(maps.Values(n.replicas))
	clear(n.replicas)
	n.mu.Unlock() // a loop that ends may still ask what the node runs
	var errs []error
	for _, r := range replicas {
		errs = append(errs, r.close())
	}
	if n.modules != nil {
		errs = append(errs, n.modules.close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
