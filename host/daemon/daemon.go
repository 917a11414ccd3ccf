// Package daemon is one node as a process of its own: its NATS server or its
// connection to one outside, the replicas, the answers to operators, and what
// an operator's tools scrape.
//
// A node starts in this order, and says at each step what it waits for:
//
//	lock the data folder → HTTP → NATS server → hosted machines → admin subjects → ready
//
// When its context ends it leaves so that callers notice nothing: the replicas
// stop between two entries, and the others go on; then the server hands
// leadership to others, sends its clients there, and is closed. A node that is
// killed instead loses nothing and costs its callers a failover.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/host/admin"
	"lockstep/host/engine"
	"lockstep/host/metrics"
	"lockstep/host/node"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/doctor"
	"lockstep/ordering/jetstream/embedded"
)

// Options of Run beside the configuration. The zero value is right.
type Options struct {
	Version string       // of the program, told to operators
	Logger  *slog.Logger // nil: none
	// OnReady is called once the node takes requests.
	OnReady func(Addresses)
	// OnLeave is called when the node begins to shut down.
	OnLeave func()
}

// Addresses are where a node that runs is reached.
type Addresses struct {
	NATS string // URL for clients; of the cluster outside, if there is one
	HTTP string // host:port; "" for none
}

// daemon is a node that runs.
type daemon struct {
	config Config
	opts   Options
	logger *slog.Logger

	engine *engine.Engine
	server *embedded.Server // nil with NATS outside
	conn   *nats.Conn
	node   *node.Node
	meter  *metrics.Node
	logs   logStates
	http   *httpServer
	ready  atomic.Bool
	left   atomic.Bool // shutting down
}

// Run runs a node until ctx ends, and then shuts it down; nil is a clean end.
func Run(ctx context.Context, config Config, opts Options) (err error) {
	if err := config.Validate(); err != nil {
		return err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	d := &daemon{config: config, opts: opts, logger: opts.Logger, meter: metrics.New()}
	unlock, err := lock(config.Data)
	if err != nil {
		return err
	}
	defer unlock()
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it was ready
		}
		return err
	}
	var failed <-chan struct{}
	if d.server != nil {
		failed = d.server.Failed()
	}
	select {
	case <-failed:
		return fmt.Errorf("NATS server failed: %w", d.server.Health())
	case err := <-d.http.failed():
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	return nil
}

func (d *daemon) start(ctx context.Context) (err error) {
	if d.config.exposed() {
		d.logger.Warn("anybody who reaches this node may do anything: set server_config, as lockstep init does", "listen", d.config.Listen)
	}
	if d.http, err = d.listenHTTP(d.config.HTTP); err != nil {
		return err
	}
	engineConfig, err := d.config.engineConfig()
	if err != nil {
		return err
	}
	if warning := engineConfig.Kind.Warning(); warning != "" {
		d.logger.Warn(warning)
	}
	engineConfig.Workers = runtime.GOMAXPROCS(0)
	if d.engine, err = engine.New(engineConfig); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	confirm := time.Duration(0)
	if d.config.NATSURL == "" {
		confirm = embedded.ConfirmBreak
		if err := d.startServer(ctx); err != nil {
			return err
		}
	}
	if err := d.connect(ctx); err != nil {
		return err
	}
	d.node, err = node.Open(ctx, node.Options{
		Name: d.config.replica(), Dir: filepath.Join(d.config.Data, "node"), Conn: d.conn, Engine: d.engine,
		Keep: d.config.Keep, Metrics: d.meter, Logger: d.logger, OnEvent: d.event, ConfirmBreak: confirm,
		TransferRate: int(d.config.TransferRate), MaxMemory: uint64(d.config.MaxMemory),
	})
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	desk := &Desk{Node: d.node, Conn: d.conn, Self: admin.Node{Version: d.opts.Version, Engine: d.engine.Kind().String()}, Logger: d.logger}
	if d.server != nil {
		desk.Room = d.server.Full
		desk.Self.Server = d.server.ClientURL()
		if _, err := doctor.Serve(d.conn, d.server.Settings); err != nil {
			return err
		}
	}
	if err := desk.Serve(); err != nil {
		return err
	}
	d.meter.Watch(d.states)
	d.logs.run(ctx, d.node)
	d.ready.Store(true)
	at := Addresses{NATS: d.config.NATSURL, HTTP: d.http.addr()}
	if d.server != nil {
		at.NATS = d.server.ClientURL()
	}
	d.logger.Info("ready", "nats", at.NATS, "http", at.HTTP, "machines", len(d.node.Machines()))
	if d.opts.OnReady != nil {
		d.opts.OnReady(at)
	}
	return nil
}

// close leaves the cluster and frees what start has taken.
func (d *daemon) close() error {
	d.left.Store(true)
	if d.ready.Swap(false) && d.opts.OnLeave != nil {
		d.opts.OnLeave()
	}
	var errs []error
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	// Before its server: a connection in this process that is trying to come back to
	// a server that is gone waits for a minute, and cannot be closed meanwhile.
	if d.conn != nil {
		d.conn.Close()
	}
	if d.server != nil && d.node != nil {
		d.server.LameDuck()
	}
	if d.server != nil {
		d.server.Shutdown()
	}
	if d.engine != nil {
		errs = append(errs, d.engine.Close())
	}
	errs = append(errs, d.http.close())
	d.logger.Info("stopped")
	return errors.Join(errs...)
}

// event logs what happened to a replica.
func (d *daemon) event(e node.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case node.EventDiverged:
		level = slog.LevelWarn
	case node.EventStopped:
		level = slog.LevelError
	case node.EventPhase: // logged by the replica
		return
	}
	args := []any{"machine", string(e.Machine), "epoch", uint64(e.Epoch), "seq", uint64(e.Seq)}
	if e.Other != "" {
		args = append(args, "other", string(e.Other))
	}
	if e.Bytes > 0 {
		args = append(args, "pages", len(e.Pages), "bytes", e.Bytes, "took", e.Took)
	}
	if e.Err != nil {
		args = append(args, "err", e.Err)
	}
	d.logger.Log(context.Background(), level, string(e.Kind), args...)
}

// connect connects to the node's own server, or to the one outside.
func (d *daemon) connect(ctx context.Context) (err error) {
	opts := jetstream.ConnOptions("lockstep node "+d.config.Name, d.logger)
	if d.config.NATSNkey != "" {
		if err := private(d.config.NATSNkey); err != nil {
			return err
		}
		nkey, err := jetstream.Nkey(d.config.NATSNkey)
		if err != nil {
			return fmt.Errorf("read nats_nkey: %w", err)
		}
		opts = append(opts, nkey...)
	}
	if d.config.NATSCreds != "" {
		creds, err := jetstream.Creds(d.config.NATSCreds)
		if err != nil {
			return fmt.Errorf("read nats_creds: %w", err)
		}
		opts = append(opts, creds...)
	}
	// What is refused now is a mistake to tell, not a fault to outlast.
	opts = append(opts, nats.RetryOnFailedConnect(false))
	if d.server != nil {
		opts = append(opts, d.server.InProcess()) // within the process, where there is nobody to hide from
	} else {
		tls, err := jetstream.Login{CAFile: d.config.TLSCA, CertFile: d.config.TLSCert, KeyFile: d.config.TLSKey}.Options()
		if err != nil {
			return fmt.Errorf("read tls_ca, tls_cert and tls_key: %w", err)
		}
		opts = append(opts, tls...)
	}
	for {
		d.conn, err = nats.Connect(d.config.NATSURL, opts...)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrAuthorization):
			return fmt.Errorf("connect to NATS: %w: is nats_nkey or nats_creds that of this node, and known to the server?", err)
		case d.server != nil:
			return fmt.Errorf("connect to NATS: %w", err)
		}
		d.logger.Warn("connect to NATS; trying again", "url", d.config.NATSURL, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// tell logs err's text without what a library wraps around it that says nothing.
func tell(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
