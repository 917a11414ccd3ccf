// Package found writes what a new cluster begins with: a configuration for
// each node, keys for nodes, operators and clients, and the accounts and
// permissions by which the nodes' NATS servers know them.
//
//	DIR/n1/node.toml    configuration; DIR/n1 is all that computer n1 needs
//	DIR/n1/server.conf  accounts and permissions, public keys alone
//	DIR/n1/node.nk      key that the node connects with
//	DIR/admin.nk        for operators: deploys, upgrades, memberships
//	DIR/client.nk       for clients: calls, queries, subscriptions
//	DIR/ca.pem, ca.key  with TLS: who signs the nodes' certificates, in DIR/n1/node.pem and node.key
//	DIR/system.nk       for nats itself: server reports, peers that are gone for ever
//	DIR/operator.nk     to sign recoveries of machines that are deployed with it; no server knows it
package found

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"lockstep/cmd/lockstep/settings"
	"lockstep/host/daemon"
)

// Options of a cluster. Dir and Nodes are required.
type Options struct {
	Dir   string
	Name  string // of the cluster
	Nodes []string
	// Hosts are the nodes' addresses, one each, all with the same ports. Without
	// them all nodes are on this computer, each with ports of its own.
	Hosts []string
	Port  int    // for clients; 0 is DefaultPort
	TLS   bool   // make certificates: servers then speak TLS alone
	Data  string // folder for the data of each node; "" is beside its configuration
}

// Ports of a node's NATS server, as far as Port is DefaultPort: of others they
// keep their distances. On one computer the next node's are one higher.
const (
	DefaultPort = 4222
	clientPort  = 0
	clusterPort = 2000
	httpPort    = 4000
)

// Cluster is what was founded.
type Cluster struct {
	Nodes []Node `json:"nodes"`
	URL   string `json:"url"`
	Admin string `json:"admin"`
	// Client, System and Operator are files with keys, as Admin.
	Client   string `json:"client"`
	System   string `json:"system"`
	Operator string `json:"operator"`
	CA       string `json:"ca,omitempty"` // file with the certificate that clients trust, with TLS
}

// Node is where one node's configuration is.
type Node struct {
	Name   string `json:"name"`
	Config string `json:"config"`
}

// Write writes everything, into a folder that does not exist yet or is empty.
func Write(o Options) (Cluster, error) {
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if err := o.validate(); err != nil {
		return Cluster{}, err
	}
	if left, err := os.ReadDir(o.Dir); err == nil && len(left) > 0 {
		return Cluster{}, fmt.Errorf("folder %s is not empty: a cluster is founded once, its keys are not made again", o.Dir)
	}
	w := &writer{Options: o}
	if err := w.keys(); err != nil {
		return Cluster{}, err
	}
	if o.TLS {
		var err error
		if w.sign, err = newAuthority(o.Dir, o.Name); err != nil {
			return Cluster{}, err
		}
		w.cluster.CA = filepath.Join(o.Dir, "ca.pem")
	}
	for i := range o.Nodes {
		if err := w.node(i); err != nil {
			return Cluster{}, err
		}
	}
	return w.cluster, nil
}

func (o Options) validate() error {
	if o.Dir == "" || len(o.Nodes) == 0 {
		return errors.New("name a folder and at least one node")
	}
	if len(o.Hosts) > 0 && len(o.Hosts) != len(o.Nodes) {
		return fmt.Errorf("%d nodes and %d hosts: name one host for each node, in the same order", len(o.Nodes), len(o.Hosts))
	}
	if most := 65535 - httpPort - len(o.Nodes); o.Port < 1 || o.Port > most {
		return fmt.Errorf("port %d: want 1 to %d, since %d and %d above it are used too", o.Port, most, clusterPort, httpPort)
	}
	seen := make(map[string]bool)
	for _, n := range o.Nodes {
		if seen[n] {
			return fmt.Errorf("two nodes are named %s", n)
		}
		seen[n] = true
	}
	return nil
}

// writer is a cluster in the making.
type writer struct {
	Options
	cluster Cluster
	public  accounts
	sign    *authority // nil: no TLS
}

// accounts are the public keys of those who may connect.
type accounts struct {
	nodes                 []string
	admin, client, system string
	operator              string // connects nowhere
	route                 string // password between servers
}

func (w *writer) keys() (err error) {
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	w.public.route = rand.Text()
	for _, k := range []struct {
		file   string
		public *string
		path   *string
	}{
		{"admin.nk", &w.public.admin, &w.cluster.Admin},
		{"client.nk", &w.public.client, &w.cluster.Client},
		{"system.nk", &w.public.system, &w.cluster.System},
		{"operator.nk", &w.public.operator, &w.cluster.Operator},
	} {
		*k.path = filepath.Join(w.Dir, k.file)
		if *k.public, err = makeKey(*k.path); err != nil {
			return err
		}
	}
	for _, n := range w.Nodes {
		if err := os.MkdirAll(filepath.Join(w.Dir, n), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		public, err := makeKey(filepath.Join(w.Dir, n, "node.nk"))
		if err != nil {
			return err
		}
		w.public.nodes = append(w.public.nodes, public)
	}
	return nil
}

// makeKey writes a new user's seed and returns its public key.
func makeKey(path string) (string, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	seed, err := pair.Seed()
	if err == nil {
		err = os.WriteFile(path, append(seed, '\n'), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	return pair.PublicKey()
}

func (w *writer) node(i int) error {
	dir := filepath.Join(w.Dir, w.Nodes[i])
	c := daemon.Default()
	c.Name, c.Cluster = w.Nodes[i], w.Name
	c.Data = "data"
	if w.Data != "" {
		c.Data = w.Data
	}
	c.Listen, c.ClusterListen, c.HTTP = w.address(i, clientPort), w.address(i, clusterPort), w.address(i, httpPort)
	if len(w.Hosts) > 0 {
		c.HTTP = fmt.Sprintf("127.0.0.1:%d", w.Port+httpPort) // unauthenticated: for this computer, until the operator says otherwise
	}
	if len(w.Nodes) == 1 {
		c.ClusterListen = ""
	} else {
		for j := range w.Nodes {
			c.Routes = append(c.Routes, w.address(j, clusterPort))
		}
	}
	c.ServerConfig, c.NATSNkey = "server.conf", "node.nk"
	scheme := ",nats://"
	if w.sign != nil {
		scheme = ",tls://"
		c.TLSCert, c.TLSKey, c.TLSCA = "node.pem", "node.key", "ca.pem"
		host := ""
		if len(w.Hosts) > 0 {
			host = w.Hosts[i]
		}
		if err := w.sign.node(dir, c.Name, host); err != nil {
			return err
		}
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("node %s: %w", w.Nodes[i], err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Node %s of cluster %s. 'lockstep config print' documents every key.\n\n", c.Name, c.Cluster)
	if err := settings.Write(&text, &c); err != nil {
		return err
	}
	path := filepath.Join(dir, "node.toml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, c.ServerConfig), []byte(w.public.text()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	w.cluster.Nodes = append(w.cluster.Nodes, Node{w.Nodes[i], path})
	w.cluster.URL = strings.TrimPrefix(w.cluster.URL+scheme+c.Listen, ",")
	return nil
}

func (w *writer) address(i, port int) string {
	if len(w.Hosts) > 0 {
		return net.JoinHostPort(w.Hosts[i], fmt.Sprint(w.Port+port))
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(w.Port+port+i))
}
