package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/host/admin"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/wasmabi/instrument"
)

// How long a request of an operator may take here.
const (
	hostTimeout = 30 * time.Second
	stateWait   = time.Second
)

// serveAdmin answers what nodes are asked as nodes. Each subject has one
// goroutine, so that requests to host are done one after the other.
func (d *daemon) serveAdmin() error {
	_, err := d.conn.Subscribe(admin.ListSubject, func(m *nats.Msg) { d.answerList(m) })
	if err == nil {
		_, err = d.conn.Subscribe(admin.HostSubject(d.config.replica()), func(m *nats.Msg) { d.answerHost(m) })
	}
	if err == nil {
		err = d.conn.Flush()
	}
	if err != nil {
		return fmt.Errorf("subscribe to requests of operators: %w", err)
	}
	return nil
}

func (d *daemon) answerList(m *nats.Msg) {
	var q admin.ListRequest
	if err := admin.ListFormat.Decode(m.Data, &q); err != nil {
		d.logger.Debug("drop request", "subject", m.Subject, "err", err)
		return
	}
	n := admin.Node{
		Name: d.config.replica(), Version: d.opts.Version, Profile: instrument.Profile, Started: d.started.UnixNano(),
		Engine: d.config.Engine, Machines: d.node.Machines(),
	}
	if d.server != nil {
		n.Server = d.server.ClientURL()
	}
	if r := d.node.Replica(q.Machine); r != nil {
		am := admin.Machine{Info: r.Info()}
		ctx, cancel := context.WithTimeout(context.Background(), stateWait)
		state, err := r.LogState(ctx)
		cancel()
		if err != nil {
			am.Problem = err.Error()
		} else {
			am.LogFirst, am.LogLast, am.LogBytes = state.First, state.Last, state.Bytes
		}
		n.Machine = []admin.Machine{am}
	}
	_ = m.Respond(admin.NodeFormat.Encode(n)) // whoever misses it asks again
}

func (d *daemon) answerHost(m *nats.Msg) {
	answer := admin.HostResponse{Node: d.config.replica()}
	var q admin.HostRequest
	err := admin.HostFormat.Decode(m.Data, &q)
	if err == nil {
		err = d.host(q)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = m.Respond(admin.HostResponseFormat.Encode(answer))
}

// host makes a machine's log if there is none and that is wanted, and starts a
// replica of it here.
func (d *daemon) host(q admin.HostRequest) error {
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	if d.node.Replica(q.Machine) != nil {
		return nil
	}
	_, err := d.node.Host(ctx, q.Machine)
	if err == nil || !q.Create || !errors.Is(err, ordering.ErrNotFound) {
		return err
	}
	const most = 1 << 50
	if q.MaxBytes > most {
		return fmt.Errorf("log of %d bytes, want at most %d", q.MaxBytes, uint64(most))
	}
	log := jetstream.Config{Ref: jetstream.Ref{Machine: q.Machine, Epoch: 1}, Replicas: int(min(q.Replicas, 99)), MaxBytes: int64(q.MaxBytes)}
	if _, err := jetstream.Create(ctx, d.conn, log); err != nil {
		return err
	}
	d.logger.Info("made the log", "machine", string(q.Machine), "servers", q.Replicas)
	_, err = d.node.Host(ctx, q.Machine)
	return err
}
