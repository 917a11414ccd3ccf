package local

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/host/local/link"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// outside tells whether the logs are kept elsewhere.
func (c *Cluster) outside() bool { return len(c.opts.URLs) > 0 }

// replicas is the number of servers that keep a log.
func (c *Cluster) replicas() int {
	n := c.opts.Nodes
	if c.outside() {
		n = len(c.opts.URLs)
	}
	switch {
	case n >= 5:
		return 5
	case n >= 3:
		return 3
	}
	return 1
}

// addUplink makes the link from a node to one of the servers elsewhere.
func (c *Cluster) addUplink(i int) error {
	l, err := link.New()
	if err != nil {
		return err
	}
	l.Set(c.uplinkTarget(i), false)
	c.peers[i].up = l
	return os.MkdirAll(c.dir(i), 0o700)
}

// uplinkTarget is the host:port of the server that a node uses.
func (c *Cluster) uplinkTarget(i int) string {
	raw := c.opts.URLs[i%len(c.opts.URLs)]
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return raw
}

// dialUplink connects a node to its server elsewhere, by no way but its link.
func (c *Cluster) dialUplink(ctx context.Context, i int) (*nats.Conn, error) {
	p := c.peers[i]
	return jetstream.Dial(ctx, "node "+p.name, []string{"nats://" + p.up.Addr()}, c.opts.Login, c.opts.Logger,
		nats.IgnoreDiscoveredServers())
}

// Connect connects a client, which moves between the servers by itself.
func (c *Cluster) Connect(ctx context.Context, name string) (*nats.Conn, error) {
	return jetstream.Dial(ctx, name, c.URLs(), c.opts.Login, c.opts.Logger)
}

// URLs are the servers that run, for clients.
func (c *Cluster) URLs() []string {
	if c.outside() {
		return c.opts.URLs
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var urls []string
	for _, p := range c.peers {
		if p.server != nil {
			urls = append(urls, p.server.ClientURL())
		}
	}
	return urls
}

// Leader is the number of the node whose server leads a machine's log, or which is connected
// to the one elsewhere that does, or -1.
func (c *Cluster) Leader(ctx context.Context, machine ordering.Name) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := ordering.Epoch(1)
	for _, p := range c.peers {
		if p.node != nil && p.node.Replica(machine) != nil {
			epoch = max(epoch, p.node.Replica(machine).Info().Log)
		}
	}
	stream := jetstream.Ref{Machine: machine, Epoch: epoch}.StreamName()
	leader := ""
	for i, p := range c.peers {
		switch {
		case p.server != nil && p.server.Leads(stream):
			return i
		case p.conn == nil || !c.outside():
			continue
		case leader == "":
			leader, _ = leaderName(ctx, p.conn, stream) // a leader is asked for again
		}
		if leader != "" && p.conn.ConnectedServerName() == leader {
			return i
		}
	}
	return -1
}

func leaderName(ctx context.Context, conn *nats.Conn, stream string) (string, error) {
	js, err := njs.New(conn)
	if err != nil {
		return "", err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return "", fmt.Errorf("ask for the leader of %s: %w", stream, err)
	}
	if in := s.CachedInfo().Cluster; in != nil && in.Leader != "" {
		return in.Leader, nil
	}
	return conn.ConnectedServerName(), nil // it is alone
}
