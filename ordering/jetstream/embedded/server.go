package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/ordering/jetstream/doctor"
)

// Options of a server. Name and Dir are required.
type Options struct {
	// Name is unique in the cluster and stays with Dir: it is the server's
	// identity in raft. A name whose server was removed must not come back.
	Name string
	// Dir holds JetStream's files. Never restore an older copy of it: remove it
	// instead, and the server fetches all from the others.
	Dir string

	ClientHost string // default 127.0.0.1
	ClientPort int    // 0 means 4222, -1 any free one

	// Cluster joins servers of the same cluster name; empty means a server alone.
	Cluster string
	// ClusterListen is host:port for the routes of the others; port -1 is any.
	ClusterListen string
	// Advertise is host:port that the others are told to reach this server at,
	// if not ClusterListen. "-" tells them nothing, so that they use
	// nothing but Routes.
	Advertise string
	// Routes are host:port of all servers that found the cluster, this one
	// included.
	Routes []string

	// SyncInterval is how long an entry that was acknowledged may stay out of the
	// disk's reach. 0 means none: fsync before each acknowledgement. Any other value
	// loses acknowledged entries when servers lose power together.
	SyncInterval time.Duration
	// MaxStore bounds the files in bytes; 0 means 3/4 of what the disk has left when the server
	// starts and what its files take by then.
	MaxStore int64
	// CertFile and KeyFile, PEM, have the server speak TLS alone, with clients and with
	// the other servers, whose certificates CAFile's sign. Empty: no TLS but what Config says.
	CertFile, KeyFile, CAFile string
	// Config is text in nats-server's configuration language for what is
	// not above: accounts, permissions, TLS. The fields above win.
	Config string

	Logger *slog.Logger `json:"-"` // nil means none
}

// Server is a nats-server in this process.
type Server struct {
	name    string
	srv     *server.Server
	log     *logger
	options Options
	space   space
	ended   chan struct{} // closed by Shutdown
	end     sync.Once
	met     sync.WaitGroup // for meet
}

// Start starts a server. It is not ready yet: see WaitReady.
func Start(o Options) (*Server, error) { return startOn(o, doctor.DiskFree) }

// startOn is Start with another way to tell how much is free on a disk.
func startOn(o Options, free func(dir string) int64) (*Server, error) {
	if o.MaxStore == 0 {
		o.MaxStore = room(o.Dir, free)
	}
	opts, err := o.server()
	if err != nil {
		return nil, fmt.Errorf("start nats-server %s: %w", o.Name, err)
	}
	if err := setTimers(); err != nil {
		return nil, fmt.Errorf("start nats-server %s: %w", o.Name, err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start nats-server %s: %w", o.Name, err)
	}
	s := &Server{name: o.Name, srv: srv, log: newLogger(o.Logger), options: o, ended: make(chan struct{}), space: space{
		free: free, ended: make(chan struct{}), watched: make(chan struct{}), limits: make(map[string]map[string]server.JetStreamAccountLimits),
	}}
	srv.SetLoggerV2(s.log, false, false, false)
	go srv.Start()
	go s.watchSpace()
	if o.Cluster != "" {
		s.met.Go(func() { s.meet(o) })
	}
	return s, nil
}

func (o Options) server() (*server.Options, error) {
	if o.Name == "" || o.Dir == "" {
		return nil, errors.New("name or directory is missing")
	}
	opts := &server.Options{}
	if o.Config != "" {
		if err := opts.ProcessConfigString(o.Config); err != nil {
			return nil, fmt.Errorf("parse configuration: %w", err)
		}
	}
	opts.ServerName = o.Name
	opts.Host, opts.Port = o.ClientHost, o.ClientPort
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if err := o.secure(opts); err != nil {
		return nil, err
	}
	opts.NoSigs = true
	opts.ReconnectErrorReports = routeReports
	opts.LameDuckGracePeriod, opts.LameDuckDuration = lameDuckGrace, lameDuckFor
	opts.JetStream = true
	opts.StoreDir = o.Dir
	opts.JetStreamMaxStore = o.MaxStore
	opts.SyncAlways = o.SyncInterval == 0
	opts.SyncInterval = o.SyncInterval
	opts.NoJetStreamStrict = false // see doctor.Server.Strict
	if o.Cluster == "" {
		return opts, nil
	}
	opts.Cluster.Name = o.Cluster
	var err error
	if opts.Cluster.Host, opts.Cluster.Port, err = splitHostPort(o.ClusterListen); err != nil {
		return nil, fmt.Errorf("parse cluster address: %w", err)
	}
	switch o.Advertise {
	case "":
	case "-":
		opts.Cluster.NoAdvertise = true
	default:
		opts.Cluster.Advertise = o.Advertise
	}
	for _, r := range o.Routes {
		if _, _, err := splitHostPort(r); err != nil {
			return nil, fmt.Errorf("parse route: %w", err)
		}
		route := &url.URL{Scheme: "nats-route", Host: r}
		if opts.Cluster.Username != "" {
			route.User = url.UserPassword(opts.Cluster.Username, opts.Cluster.Password)
		}
		opts.Routes = append(opts.Routes, route)
	}
	if len(opts.Routes) == 0 {
		return nil, fmt.Errorf("cluster %s has no routes", o.Cluster)
	}
	return opts, nil
}

// secure sets TLS up. Clients are known by their keys; servers show each other certificates.
func (o Options) secure(opts *server.Options) (err error) {
	if o.CertFile == "" {
		return nil
	}
	if opts.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: o.CertFile, KeyFile: o.KeyFile}); err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	if o.Cluster == "" {
		return nil
	}
	routes, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: o.CertFile, KeyFile: o.KeyFile, CaFile: o.CAFile, Verify: true})
	if err != nil {
		return fmt.Errorf("read certificates of the cluster: %w", err)
	}
	routes.RootCAs = routes.ClientCAs // each is client and server
	opts.Cluster.TLSConfig = routes
	return nil
}

func splitHostPort(s string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(p)
	return host, port, err
}

// WaitReady waits until the server takes clients and JetStream's cluster, if it is in
// one, has a leader that this server follows.
func (s *Server) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.ready() {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.log.fatal:
			return fmt.Errorf("start nats-server %s: %w", s.name, s.log.err)
		case <-ctx.Done():
			return fmt.Errorf("wait for nats-server %s: %w", s.name, errors.Join(context.Cause(ctx), s.Health()))
		}
	}
}

func (s *Server) ready() bool {
	if !s.srv.ReadyForConnections(time.Millisecond) || !s.srv.JetStreamEnabled() {
		return false
	}
	return s.srv.Healthz(&server.HealthzOptions{JSMetaOnly: true}).Error == ""
}

// Health says what is wrong with the server or one of its streams, as far as
// nats-server knows: it does not notice entries that its files have lost.
func (s *Server) Health() error {
	select {
	case <-s.log.fatal:
		return s.log.err
	default:
	}
	if h := s.srv.Healthz(nil); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// Failed is closed when the server met an error after which it does not go on: Health
// tells which. The server is to be shut down then.
func (s *Server) Failed() <-chan struct{} { return s.log.fatal }

// ClientURL is where clients connect to.
func (s *Server) ClientURL() string { return s.srv.ClientURL() }

// ClusterAddr is host:port where the other servers connect to.
func (s *Server) ClusterAddr() string {
	if a := s.srv.ClusterAddr(); a != nil {
		return a.String()
	}
	return ""
}

// InProcess makes nats.Connect use a pipe to this server. Such a connection ends with the
// server and cannot go to another.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.srv) }

// Leads tells whether this server leads a stream of the global account.
func (s *Server) Leads(stream string) bool {
	return s.srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
}

// StepDown hands the leadership of a stream of the global account to another server.
func (s *Server) StepDown(stream string) error {
	if err := s.srv.JetStreamStepdownStream(server.DEFAULT_GLOBAL_ACCOUNT, stream); err != nil {
		return fmt.Errorf("step down from %s: %w", stream, err)
	}
	return nil
}

// How long clients of a server in lame duck mode keep their connections, and within
// what time they are then sent away.
const (
	lameDuckGrace = 250 * time.Millisecond
	lameDuckFor   = 750 * time.Millisecond
)

// LameDuck hands the leadership of all streams to other servers, sends clients there, and
// returns when the last has gone. Shutdown is to be called after it.
func (s *Server) LameDuck() {
	s.endWatch()
	s.srv.LameDuckShutdown()
}

// Shutdown stops the server, handing leadership over, and waits until it has stopped.
func (s *Server) Shutdown() {
	s.end.Do(func() { close(s.ended) })
	s.met.Wait()
	s.endWatch()
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}
