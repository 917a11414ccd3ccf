package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host/engine"
	"lockstep/snapshot/paging"
)

// Config is all that an operator says to a node. Each field is a key of the
// configuration file (its toml tag), a flag (with - for _) and an environment
// variable (LOCKSTEP_ and capitals); its comment documents all three.
type Config struct {
	Name string `toml:"name" comment:"Name of the node and of all its replicas: a-z, 0-9, - and _. Unique in the cluster, and for ever:\na name whose node was removed must not come back with another disk."`
	Data string `toml:"data" path:"y" comment:"Folder of all that the node keeps. One process may use it at a time."`

	Listen           string   `toml:"listen" comment:"host:port where the node's own NATS server takes clients. Port -1 is any free one."`
	ClusterListen    string   `toml:"cluster_listen" comment:"host:port where it takes the servers of the other nodes. Empty: a cluster of this node alone."`
	ClusterAdvertise string   `toml:"cluster_advertise" comment:"host:port at which other nodes reach cluster_listen, if that is not it."`
	Cluster          string   `toml:"cluster" comment:"Name of the cluster: the same on all nodes."`
	Routes           []string `toml:"routes" comment:"host:port of cluster_listen of all nodes that found the cluster, this one included: the same list on each."`
	ServerConfig     string   `toml:"server_config" path:"y" comment:"File in nats-server's language with accounts, permissions and TLS, as lockstep init writes it.\nEmpty: whoever reaches the node may do anything."`
	TLSCert          string   `toml:"tls_cert" path:"y" comment:"PEM file with the node's certificate, which names its host: its server then speaks TLS alone, with clients and other nodes.\nWith nats_url it is shown to that. Empty: no TLS."`
	TLSKey           string   `toml:"tls_key" path:"y" comment:"PEM file with the certificate's key."`
	TLSCA            string   `toml:"tls_ca" path:"y" comment:"PEM file with the certificates of who signs those of other nodes, or of the servers of nats_url."`
	SyncInterval     Duration `toml:"sync_interval" comment:"How long an acknowledged entry may stay out of the disk's reach. 0s: fsync before each acknowledgement.\nAny other value loses acknowledged entries when nodes lose power together."`
	MaxStore         Size     `toml:"max_store" comment:"Bound on the files of logs, such as 64GiB. 0: three quarters of what the disk has for them at the start."`

	NATSURL   string `toml:"nats_url" comment:"URLs, with commas, of a NATS cluster with JetStream to use instead of a server of the node's own."`
	NATSCreds string `toml:"nats_creds" path:"y" comment:"Credentials file (.creds) for the connection to NATS."`
	NATSNkey  string `toml:"nats_nkey" path:"y" comment:"File with the seed of the nkey that the node connects to NATS with, its own server included."`

	HTTP string `toml:"http" comment:"host:port of /metrics, /healthz and /readyz. Empty: none."`

	Engine  string `toml:"engine" comment:"How guests run: compiler, interpreter, or auto: the compiler on amd64, else the interpreter.\nReplicas of both agree on everything."`
	Tracker string `toml:"tracker" comment:"How written pages are found: auto, userfaultfd, memfd or compare."`
	Keep    int    `toml:"keep" comment:"Newest checkpoints kept of each machine, and beside them the last one that a majority has alike."`

	MaxMemory Size `toml:"max_memory" comment:"Bound on the memory that the guests of all machines may come to take, such as 8GiB: 2.2 times the limit\nof each (lockstep deploy --memory). What would exceed it is not deployed here and does not join. 0: none."`

	TransferRate Size `toml:"transfer_rate" comment:"Bound on what the node sends of its states and modules in a second, such as 20MiB. 0: none."`

	LogLevel  string `toml:"log_level" comment:"Least level of what is logged: debug, info, warn or error."`
	LogFormat string `toml:"log_format" comment:"Form of the log on standard error: text, color or json."`
}

// Default is the configuration of a node that is told nothing.
func Default() Config {
	return Config{
		Name: hostName(), Data: "lockstep-data", Listen: "127.0.0.1:4222", Cluster: "lockstep",
		HTTP: "127.0.0.1:8222", Engine: engine.Auto.String(), Tracker: "auto", Keep: 2, LogLevel: "info", LogFormat: "text",
	}
}

// hostName is the machine's name, as far as it can be a node's.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), maxName)]
}

const maxName = 64

// Validate says what is wrong, by key, with what to do.
func (c Config) Validate() error {
	if c.Name == "" || len(c.Name) > maxName || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return fmt.Errorf("name is %q: want 1 to %d of a-z, 0-9, - and _", c.Name, maxName)
	}
	if c.Data == "" {
		return errors.New("data is empty: name a folder")
	}
	if err := c.validateNATS(); err != nil {
		return err
	}
	if c.HTTP != "" {
		if err := hostPort("http", c.HTTP); err != nil {
			return err
		}
	}
	if _, err := c.engineConfig(); err != nil {
		return err
	}
	if c.MaxMemory < 0 {
		return errors.New("max_memory may not be negative")
	}
	if c.Keep < 1 || c.Keep > maxKeep {
		return fmt.Errorf("keep is %d: want 1 to %d", c.Keep, maxKeep)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("log_level is %q: want debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" && c.LogFormat != "color" {
		return fmt.Errorf("log_format is %q: want text, color or json", c.LogFormat)
	}
	return nil
}

const maxKeep = 100

func (c Config) validateNATS() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("tls_cert and tls_key go together: a certificate needs its key, and a key its certificate")
	}
	if c.NATSURL == "" && c.TLSCert == "" && c.TLSCA != "" {
		return errors.New("tls_ca is for TLS: name this node's certificate with tls_cert")
	}
	if c.ClusterListen != "" && c.TLSCert != "" && c.TLSCA == "" {
		return errors.New("tls_ca is empty: name the file with the certificates of who signs those of the other nodes")
	}
	if c.NATSURL != "" {
		if c.ClusterListen != "" || len(c.Routes) > 0 {
			return errors.New("nats_url is for a NATS cluster outside, cluster_listen and routes for the node's own: choose one")
		}
		return nil
	}
	if err := hostPort("listen", c.Listen); err != nil {
		return err
	}
	if c.SyncInterval < 0 || c.MaxStore < 0 || c.TransferRate < 0 {
		return errors.New("sync_interval, max_store and transfer_rate may not be negative")
	}
	if c.ClusterListen == "" {
		if len(c.Routes) > 0 {
			return errors.New("there are routes, but cluster_listen is empty: say where the other nodes reach this one")
		}
		return nil
	}
	if err := hostPort("cluster_listen", c.ClusterListen); err != nil {
		return err
	}
	if c.Cluster == "" {
		return errors.New("cluster is empty: all nodes of a cluster name it alike")
	}
	if len(c.Routes) == 0 {
		return errors.New("routes is empty: list cluster_listen of all nodes that found the cluster, or leave cluster_listen out for a node alone")
	}
	for _, r := range c.Routes {
		if err := hostPort("routes", r); err != nil {
			return err
		}
	}
	return nil
}

func hostPort(key, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		var n int
		if n, err = strconv.Atoi(port); err == nil && (n < -1 || n > 65535) {
			err = errors.New("no such port")
		}
	}
	if err != nil {
		return fmt.Errorf("%s is %q: want host:port, such as 127.0.0.1:4222", key, value)
	}
	return nil
}

func (c Config) engineConfig() (engine.Config, error) {
	kind, err := engine.ParseKind(c.Engine)
	if err != nil {
		return engine.Config{}, err
	}
	e := engine.Config{Kind: kind, CacheDir: filepath.Join(c.Data, "compiled")}
	for _, kind := range []paging.Kind{paging.Auto, paging.Userfaultfd, paging.Memfd, paging.Compare} {
		if c.Tracker == kind.String() {
			e.Tracker = kind
			return e, nil
		}
	}
	return e, fmt.Errorf("tracker is %q: want auto, userfaultfd, memfd or compare", c.Tracker)
}

// exposed reports whether others than this computer reach the node, and nothing
// keeps them out.
func (c Config) exposed() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || c.NATSURL != "" || c.ServerConfig != "" {
		return false
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

func (c Config) replica() audit.ReplicaID { return audit.ReplicaID(c.Name) }

// Duration is a time.Duration in text form, such as 10s.
type Duration time.Duration

// MarshalText is encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText is encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: want a number and a unit, such as 10s or 500ms", text)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, such as 64GiB.
type Size int64

var units = []struct {
	name  string
	bytes Size
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// MarshalText is encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 && u.bytes > 1 {
			return fmt.Appendf(nil, "%d%s", s/u.bytes, u.name), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// UnmarshalText is encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), Size(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/int64(unit) {
		return fmt.Errorf("%q is no size: want a number of bytes, or of KiB, MiB, GiB or TiB", text)
	}
	*s = Size(n) * unit
	return nil
}
