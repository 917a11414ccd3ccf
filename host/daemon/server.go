package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lockstep/ordering/jetstream/embedded"
)

// startServer starts the node's NATS server and waits until it is part of its
// cluster, for as long as that takes: nodes of a new cluster may be started
// hours apart.
func (d *daemon) startServer(ctx context.Context) error {
	c := d.config
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if c.TLSKey != "" {
		if err := private(c.TLSKey); err != nil {
			return err
		}
	}
	var text []byte
	if c.ServerConfig != "" {
		if text, err = os.ReadFile(c.ServerConfig); err != nil {
			return fmt.Errorf("read server_config: %w", err)
		}
	}
	o := embedded.Options{
		Name: c.Name, Dir: filepath.Join(c.Data, "log"), ClientHost: host, ClientPort: number,
		SyncInterval: time.Duration(c.SyncInterval), MaxStore: int64(c.MaxStore), Config: string(text),
		CertFile: c.TLSCert, KeyFile: c.TLSKey, CAFile: c.TLSCA, Logger: d.logger.With("part", "nats"),
	}
	if c.ClusterListen != "" {
		o.Cluster, o.ClusterListen, o.Advertise, o.Routes = c.Cluster, c.ClusterListen, c.ClusterAdvertise, c.Routes
	}
	for _, l := range [][2]string{{"listen", c.Listen}, {"cluster_listen", c.ClusterListen}} {
		if err := free(l[0], l[1]); err != nil {
			return err
		}
	}
	if d.server, err = embedded.Start(o); err != nil {
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, patience)
		err := d.server.WaitReady(wait)
		passed := wait.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !passed {
			return err
		}
		if c.ClusterListen == "" {
			d.logger.Info("waiting for the NATS server", "state", tell(err))
			continue
		}
		d.logger.Info("waiting for a majority of the nodes: are they started, and do they reach each other?", "routes", strings.Join(c.Routes, " "))
	}
}

// patience is after how long the node says what it waits for.
const patience = 5 * time.Second

// free says whether an address can be listened on, before nats-server finds out
// in the middle of its start. An empty one is. The setting is where the address comes from.
func free(setting, addr string) error {
	if addr == "" || strings.HasSuffix(addr, ":-1") {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return listenError(setting, addr, err)
	}
	return l.Close()
}
