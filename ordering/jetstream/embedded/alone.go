package embedded

import (
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A server of a cluster starts no raft group before it has met another server, be it one that
// keeps nothing (raft.go of nats-server, "Waiting for routing"). The last of a cluster whose others are gone
// for ever would wait for ever, though it is all of the majority since they were
// forgotten; and it could not be told to forget them. So a server that meets nobody meets a
// companion in this process for a moment.

const (
	// aloneAfter is when a server that has met no other one is alone.
	aloneAfter = 2 * time.Second
	// companionFor is how long a companion stays once it is met: the groups look for
	// others ten times a second.
	companionFor = time.Second
	companionTry = 10 * time.Second
)

// meet lets a server that is alone go on. It returns once the server has met another one, or ends.
func (s *Server) meet(o Options) {
	tick := time.NewTicker(aloneAfter / 20)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < aloneAfter; {
		select {
		case <-tick.C:
		case <-s.ended:
			return
		}
	}
	if s.srv.NumRoutes() > 0 { // a server's route to itself counts too, until it is noticed
		return
	}
	c, err := s.companion(o)
	if err != nil {
		s.log.Warnf("start a companion of a server that is alone: %v", err)
		return
	}
	defer func() {
		c.Shutdown()
		c.WaitForShutdown()
	}()
	for began := time.Now(); time.Since(began) < companionTry; {
		select {
		case <-tick.C:
		case <-s.ended:
			return
		}
		if s.srv.NumRoutes() > 0 {
			break
		}
	}
	select {
	case <-time.After(companionFor):
	case <-s.ended:
	}
}

// companion is a server that keeps nothing and knows this one alone.
func (s *Server) companion(o Options) (*server.Server, error) {
	opts, err := o.server()
	if err != nil {
		return nil, err
	}
	opts.ServerName = o.Name + "-companion"
	opts.JetStream, opts.StoreDir = false, ""
	opts.Host, opts.Port = "127.0.0.1", -1 // one that does not listen makes no routes either
	opts.Cluster.Host, opts.Cluster.Port = "127.0.0.1", -1
	opts.Cluster.NoAdvertise, opts.Cluster.Advertise = true, ""
	if opts.Cluster.TLSConfig != nil {
		// It dials this very process, whose certificate names other hosts.
		opts.Cluster.TLSConfig = opts.Cluster.TLSConfig.Clone()
		opts.Cluster.TLSConfig.InsecureSkipVerify = true
	}
	addr := s.ClusterAddr()
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
	}
	route := &url.URL{Scheme: "nats-route", Host: addr}
	if opts.Cluster.Username != "" {
		route.User = url.UserPassword(opts.Cluster.Username, opts.Cluster.Password)
	}
	opts.Routes = []*url.URL{route}
	c, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	c.SetLoggerV2(newLogger(nil), false, false, false)
	go c.Start()
	return c, nil
}
