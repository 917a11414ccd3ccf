// Package local runs a whole cluster in one process: a NATS server and a node
// each, and between them links that can be cut. The servers, the nodes, their
// disks and the TCP between them are the real ones; what is not is that one
// process and one machine hold them all.
//
// It is for the demo, for development and for tests.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/engine"
	"lockstep/host/local/link"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// Options of a cluster. Dir is required.
type Options struct {
	Nodes int    // that found the cluster; 0 is 3
	Dir   string // one folder for each node
	// Engines run the guests of the nodes in order; the caller closes them after
	// the cluster. Nodes without one share one of kind engine.Auto.
	Engines []*engine.Engine
	// TransferRate is that of each node's options.
	TransferRate int
	// MaxMemory is that of each node's options.
	MaxMemory uint64
	Logger    *slog.Logger
	OnEvent   func(node.Event)

	// URLs are servers elsewhere that keep the logs, and Login how nodes show who
	// they are there. Nodes have no servers of their own then.
	URLs  []string
	Login jetstream.Login
}

// Each log reserves logBytes of its servers' maxStore, whether or not it uses them: a
// cluster has room for 256 machines, and no machine can take the others' room. It is a bound, not what is used;
// checkpoints cut a log long before.
const (
	logBytes = 1 << 30
	maxStore = 256 * logBytes
)

// Cluster is the nodes of one process, numbered from 0.
type Cluster struct {
	opts   Options
	shared *engine.Engine
	mu     sync.Mutex
	peers  []*peer
}

// peer is one node with its server. Both are nil while it is down; the server always
// is where the logs are kept elsewhere.
type peer struct {
	name   string
	founds bool
	port   int                // for clients; chosen at the first start and kept
	out    map[int]*link.Link // to the peer of that number, or to itself
	up     *link.Link         // to a server elsewhere
	server *embedded.Server
	conn   *nats.Conn
	node   *node.Node
}

// Start starts the founding nodes and waits until they form a cluster.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Nodes == 0 {
		opts.Nodes = 3
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{opts: opts}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	config := engine.Config{CacheDir: filepath.Join(c.opts.Dir, "compiled"), Workers: runtime.GOMAXPROCS(0)}
	if c.shared, err = engine.New(config); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	for range c.opts.Nodes {
		if err := c.addPeer(true); err != nil {
			return err
		}
	}
	if c.outside() {
		for i := range c.peers {
			if err := c.startNode(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range c.peers {
		if err := c.startServer(ctx, i); err != nil {
			return err
		}
	}
	for i := range c.peers {
		c.openLinks(i)
	}
	for i := range c.peers {
		if err := c.startNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// addPeer makes the links of one more node, to and from all others.
func (c *Cluster) addPeer(founds bool) error {
	i := len(c.peers)
	p := &peer{name: fmt.Sprintf("n%d", i+1), founds: founds, port: -1, out: make(map[int]*link.Link)}
	c.peers = append(c.peers, p)
	if c.outside() {
		return c.addUplink(i)
	}
	for j, q := range c.peers {
		var err error
		if p.out[j], err = link.New(); err != nil {
			return err
		}
		if q.server != nil {
			p.out[j].Set(q.server.ClusterAddr(), false)
		}
		if j == i || !founds {
			continue // founders do not know of those who come later
		}
		if q.out[i], err = link.New(); err != nil {
			return err
		}
	}
	return os.MkdirAll(c.dir(i), 0o700)
}

func (c *Cluster) dir(i int) string { return filepath.Join(c.opts.Dir, c.peers[i].name) }

func (c *Cluster) startServer(ctx context.Context, i int) error {
	p := c.peers[i]
	var routes []string
	for j := range c.peers {
		if l := p.out[j]; l != nil && (p.founds || j != i) {
			routes = append(routes, l.Addr())
		}
	}
	server, err := embedded.Start(embedded.Options{
		Name: p.name, Dir: filepath.Join(c.dir(i), "log"), ClientPort: p.port,
		Cluster: "lockstep", ClusterListen: "127.0.0.1:-1", Advertise: "-", Routes: routes,
		MaxStore: maxStore, Logger: c.opts.Logger.With("server", p.name),
	})
	if err != nil {
		return err
	}
	p.server = server
	return listening(ctx, server)
}

// listening waits until the server has its cluster address.
func listening(ctx context.Context, s *embedded.Server) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.ClusterAddr() == "" {
		select {
		case <-tick.C:
		case <-s.Failed():
			return s.Health()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// openLinks opens the links between a server that runs and all others that do.
func (c *Cluster) openLinks(i int) {
	p := c.peers[i]
	for j, q := range c.peers {
		if l := q.out[i]; l != nil {
			l.Set(p.server.ClusterAddr(), false)
		}
		if l := p.out[j]; l != nil && q.server != nil {
			l.Set(q.server.ClusterAddr(), false)
		}
	}
}

// startNode starts a node, once its server, if it has one, is ready.
func (c *Cluster) startNode(ctx context.Context, i int) error {
	p := c.peers[i]
	confirm := time.Duration(0)
	var err error
	if c.outside() {
		p.conn, err = c.dialUplink(ctx, i)
	} else {
		p.conn, err = c.connectOwn(ctx, p)
		confirm = embedded.ConfirmBreak
	}
	if err != nil {
		return fmt.Errorf("connect node %s: %w", p.name, err)
	}
	p.node, err = node.Open(ctx, node.Options{
		Name: audit.ReplicaID(p.name), Dir: filepath.Join(c.dir(i), "node"), Conn: p.conn, Engine: c.Engine(i),
		Logger: c.opts.Logger, OnEvent: c.opts.OnEvent, ConfirmBreak: confirm, TransferRate: c.opts.TransferRate, MaxMemory: c.opts.MaxMemory,
	})
	if err != nil {
		return fmt.Errorf("start node %s: %w", p.name, err)
	}
	return nil
}

// connectOwn connects a node to its server, once the server is ready.
func (c *Cluster) connectOwn(ctx context.Context, p *peer) (*nats.Conn, error) {
	if err := p.server.WaitReady(ctx); err != nil {
		return nil, fmt.Errorf("wait for server %s: %w", p.name, err)
	}
	if u, err := url.Parse(p.server.ClientURL()); err == nil {
		p.port, _ = strconv.Atoi(u.Port())
	}
	return nats.Connect("", append(jetstream.ConnOptions("node "+p.name, c.opts.Logger), p.server.InProcess())...)
}

// Engine is the one that runs the guests of node i.
func (c *Cluster) Engine(i int) *engine.Engine {
	if i < len(c.opts.Engines) {
		return c.opts.Engines[i]
	}
	return c.shared
}

// Add starts one more node, which joins the others' cluster, and returns its
// number.
func (c *Cluster) Add(ctx context.Context) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.addPeer(false); err != nil {
		return 0, err
	}
	i := len(c.peers) - 1
	if c.outside() {
		return i, c.startNode(ctx, i)
	}
	if err := c.startServer(ctx, i); err != nil {
		return 0, err
	}
	c.openLinks(i)
	return i, c.startNode(ctx, i)
}

// Kill takes a node away as a power cut does, as far as others can tell: every
// connection to and from the others is reset in the middle of whatever it
// carries, before the node or its server does anything about it. What it had
// put on its disk stays.
func (c *Cluster) Kill(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[i]
	if p.up != nil {
		p.up.Set("", true)
	}
	for j, q := range c.peers {
		for _, l := range []*link.Link{p.out[j], q.out[i]} {
			if l != nil {
				l.Set("", true)
			}
		}
	}
	_ = c.stop(i) // nobody is told what a crash could not close
}

// Restart starts a node again that was killed, with the disk it had.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers[i].node != nil {
		return fmt.Errorf("restart %s: it runs", c.peers[i].name)
	}
	if c.outside() {
		c.peers[i].up.Set(c.uplinkTarget(i), false)
		return c.startNode(ctx, i)
	}
	if err := c.startServer(ctx, i); err != nil {
		return err
	}
	c.openLinks(i)
	return c.startNode(ctx, i)
}

// SetMaxMemory changes Options.MaxMemory for nodes that are started from now on.
func (c *Cluster) SetMaxMemory(bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.MaxMemory = bytes
}

// stop ends what runs of a peer, and returns what went wrong.
func (c *Cluster) stop(i int) error {
	p := c.peers[i]
	var err error
	if p.node != nil {
		err = p.node.Close()
	}
	if p.conn != nil {
		p.conn.Close()
	}
	if p.server != nil {
		p.server.Shutdown()
	}
	p.node, p.conn, p.server = nil, nil, nil
	return err
}

// Host makes the log of a machine, kept by as many servers as found the
// cluster or as there are elsewhere, and starts a replica on each node that runs.
func (c *Cluster) Host(ctx context.Context, machine ordering.Name) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	config := jetstream.Config{Ref: jetstream.Ref{Machine: machine, Epoch: 1}, Replicas: c.replicas(), MaxBytes: logBytes}
	for i, p := range c.peers {
		if p.node == nil {
			continue
		}
		if i == 0 {
			if _, err := jetstream.Create(ctx, p.conn, config); err != nil {
				return err
			}
		}
		if _, err := p.node.Host(ctx, machine); err != nil {
			return err
		}
	}
	return nil
}

// Node returns a node, or nil while it is down.
func (c *Cluster) Node(i int) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peers[i].node
}

// Name is a node's name, running or not.
func (c *Cluster) Name(i int) audit.ReplicaID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return audit.ReplicaID(c.peers[i].name)
}

// Len is the number of nodes, running or not.
func (c *Cluster) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.peers)
}

// Close stops everything.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for i := range c.peers {
		errs = append(errs, c.stop(i))
	}
	for _, p := range c.peers {
		for _, l := range p.out {
			l.Close()
		}
		if p.up != nil {
			p.up.Close()
		}
	}
	if c.shared != nil {
		errs = append(errs, c.shared.Close())
	}
	return errors.Join(errs...)
}
