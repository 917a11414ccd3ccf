// Package jetstreamtest starts clusters of embedded servers on loopback for tests,
// with their data in the test's directory.
package jetstreamtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// readyTimeout is long: one start in six loses the first election round.
const readyTimeout = time.Minute

// Cluster is some servers of one cluster. Servers are numbered from 0.
type Cluster struct {
	options []embedded.Options

	mu      sync.Mutex
	servers []*embedded.Server // nil while stopped
	urls    []string
}

// Start starts n servers, waits until they are ready and stops them when the
// test ends.
func Start(t testing.TB, n int) *Cluster { return StartWith(t, n, embedded.Options{}) }

// StartWith is Start with more options; names, places and addresses are set.
func StartWith(t testing.TB, n int, base embedded.Options) *Cluster {
	t.Helper()
	c := &Cluster{servers: make([]*embedded.Server, n)}
	c.options, c.urls = options(t, n, base)
	t.Cleanup(func() {
		for i := range c.servers {
			c.Stop(i)
		}
	})
	for i := range n {
		c.start(t, i)
	}
	c.WaitReady(t)
	return c
}

// options are those of the n servers of a cluster, and where they take clients.
func options(t testing.TB, n int, base embedded.Options) (all []embedded.Options, urls []string) {
	t.Helper()
	dir := t.TempDir()
	addrs := freeAddrs(t, 2*n)
	clients, routes := addrs[:n], addrs[n:]
	for i, addr := range clients {
		o := base
		o.Name = fmt.Sprintf("n%d", i)
		o.Dir = filepath.Join(dir, o.Name)
		_, port, _ := net.SplitHostPort(addr)
		if _, err := fmt.Sscan(port, &o.ClientPort); err != nil {
			t.Fatal(err)
		}
		if n > 1 {
			o.Cluster, o.ClusterListen, o.Routes = "test", routes[i], routes
		}
		if o.MaxStore == 0 {
			o.MaxStore = 64 << 30 // a bound on reservations, not what is used
		}
		all = append(all, o)
		urls = append(urls, "nats://"+addr)
	}
	return all, urls
}

// freeAddrs finds n ports that nobody listens at, below those that the system gives to connections that go out: one
// of these could take a port before its server does, or while that is down.
func freeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for range 1000 {
		if len(addrs) == n {
			return addrs
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		addrs = append(addrs, l.Addr().String())
	}
	t.Fatal("no ports are free")
	return nil
}

func (c *Cluster) start(t testing.TB, i int) {
	t.Helper()
	s, err := embedded.Start(c.options[i])
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.servers[i] = s
	c.mu.Unlock()
}

// WaitReady waits until all servers that run are ready.
func (c *Cluster) WaitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for i := range c.servers {
		if s := c.Server(i); s != nil {
			if err := s.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Len is the number of servers, stopped ones included.
func (c *Cluster) Len() int { return len(c.servers) }

// Dir is server i's directory.
func (c *Cluster) Dir(i int) string { return c.options[i].Dir }

// Server returns server i, or nil while it is stopped.
func (c *Cluster) Server(i int) *embedded.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[i]
}

// Runs tells whether server i does.
func (c *Cluster) Runs(i int) bool { return c.Server(i) != nil }

// Stop stops server i, if it runs.
func (c *Cluster) Stop(i int) {
	c.mu.Lock()
	s := c.servers[i]
	c.servers[i] = nil
	c.mu.Unlock()
	if s != nil {
		s.Shutdown()
	}
}

// Restart starts server i again, after Stop or not, and waits until it is ready.
func (c *Cluster) Restart(t testing.TB, i int) {
	t.Helper()
	c.Stop(i)
	c.start(t, i)
	c.WaitReady(t)
}

// URLs are where clients connect to.
func (c *Cluster) URLs() []string { return c.urls }

// Connect connects to server i alone, until the test ends.
func (c *Cluster) Connect(t testing.TB, i int) *nats.Conn {
	t.Helper()
	return connect(t, c.urls[i], nats.IgnoreDiscoveredServers())
}

// ConnectAny connects to any server and moves on when that one stops.
func (c *Cluster) ConnectAny(t testing.TB) *nats.Conn {
	t.Helper()
	return connect(t, strings.Join(c.urls, ","))
}

func connect(t testing.TB, url string, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(jetstream.ConnOptions(t.Name(), nil), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Leader waits until a server leads the stream, and returns its number.
func (c *Cluster) Leader(t testing.TB, stream string) int {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); <-tick.C {
		for i := range c.servers {
			if s := c.Server(i); s != nil && s.Leads(stream) {
				return i
			}
		}
	}
	t.Fatalf("no server leads %s", stream)
	return -1
}
