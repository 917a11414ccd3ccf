package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"lockstep/host"
)

// httpServer serves metrics and health. A nil one serves nothing.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	err      chan error
}

// listenHTTP serves from now on, so that a node that waits can be watched.
func (d *daemon) listenHTTP(addr string) (*httpServer, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError("http", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.meter.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, d.health()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, d.readiness()) })
	h := &httpServer{listener: l, err: make(chan error, 1), server: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 1 << 16,
	}}
	go func() {
		if err := h.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.err <- err
		}
	}()
	return h, nil
}

func answerHealth(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// health says what is wrong with the process or a replica, after which waiting
// does not help.
func (d *daemon) health() error {
	if d.server != nil && d.ready.Load() {
		if err := d.server.Health(); err != nil {
			return fmt.Errorf("NATS server: %w", err)
		}
	}
	if !d.ready.Load() {
		return nil
	}
	for _, name := range d.node.Machines() {
		if r := d.node.Replica(name); r != nil && r.Info().Phase == host.PhaseStopped {
			return fmt.Errorf("replica of machine %s has stopped", name)
		}
	}
	return nil
}

// readiness says why the node does not take requests yet, or no longer.
func (d *daemon) readiness() error {
	switch {
	case d.left.Load():
		return errors.New("shutting down")
	case !d.ready.Load():
		return errors.New("starting")
	case !d.conn.IsConnected():
		return errors.New("not connected to NATS")
	}
	return d.health()
}

func (h *httpServer) addr() string {
	if h == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// failed tells when it stopped serving by itself.
func (h *httpServer) failed() <-chan error {
	if h == nil {
		return nil
	}
	return h.err
}

func (h *httpServer) close() error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		return h.server.Close() // somebody still reads
	}
	return nil
}

// listenError says what to do about an address that cannot be listened on.
func listenError(setting, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: listen on %s: address is in use by another process: stop it, or choose another address", setting, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: listen on %s: permission denied: ports below 1024 are the system's, choose a higher one", setting, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: listen on %s: this computer has no such address: name one of its own, or 0.0.0.0 for all", setting, addr)
	}
	return fmt.Errorf("%s: listen on %s: %w", setting, addr, err)
}
