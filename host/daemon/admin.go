package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/admin"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/wasmabi/instrument"
)

// How long a request of an operator may take here.
const (
	hostTimeout = 30 * time.Second
	stateWait   = time.Second
)

// Desk answers what a node is asked as a node.
type Desk struct {
	Node   *node.Node
	Conn   *nats.Conn
	Self   admin.Node   // what is always the same of its answers: Version, Server, Engine
	Room   func() error // why the node's server takes no entries; nil: it has none
	Logger *slog.Logger
}

// Serve answers until the connection is closed. Each subject has one
// goroutine, so that requests to host are done one after the other.
func (d *Desk) Serve() error {
	d.Self.Name, d.Self.Profile, d.Self.Started = d.Node.Name(), instrument.Profile, time.Now().UnixNano()
	_, err := d.Conn.Subscribe(admin.ListSubject, func(m *nats.Msg) { d.answerList(m) })
	if err == nil {
		_, err = d.Conn.Subscribe(admin.HostSubject(d.Node.Name()), func(m *nats.Msg) { d.answerHost(m) })
	}
	if err == nil {
		err = d.serveRecovery()
	}
	if err == nil {
		err = d.Conn.Flush()
	}
	if err != nil {
		return fmt.Errorf("subscribe to requests of operators: %w", err)
	}
	return nil
}

func (d *Desk) answerList(m *nats.Msg) {
	var q admin.ListRequest
	if err := admin.ListFormat.Decode(m.Data, &q); err != nil {
		d.Logger.Debug("drop request", "subject", m.Subject, "err", err)
		return
	}
	n := d.Self
	n.Machines = d.Node.Machines()
	n.Memory, n.MaxMemory = d.Node.Memory()
	if r := d.Node.Replica(q.Machine); r != nil {
		memory := r.Memory()
		am := admin.Machine{Info: r.Info(), Tracker: memory.Tracker, Memory: memory.Bytes}
		if b := r.Broken(); b != nil {
			am.Broken, am.BrokenAt = b.Why, b.Since
		}
		ctx, cancel := context.WithTimeout(context.Background(), stateWait)
		state, err := r.LogState(ctx)
		cancel()
		if err == nil {
			am.LogFirst, am.LogLast, am.LogBytes = state.First, state.Last, state.Bytes
		}
		am.Problem = d.problem(r, err)
		am.Faults = faults(r)
		if q.Evidence {
			for _, k := range r.Evidence() {
				am.Evidence = append(am.Evidence, audit.KeptFormat.Encode(k))
			}
		}
		n.Machine = []admin.Machine{am}
	}
	_ = m.Respond(admin.NodeFormat.Encode(n)) // whoever misses it asks again
}

// problem is all that hinders a replica, in words.
func (d *Desk) problem(r *node.Replica, log error) string {
	var problems []string
	if d.Room != nil {
		if err := d.Room(); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if err := r.Stalled(); err != nil {
		problems = append(problems, "votes wait for the disk: "+err.Error())
	}
	if log != nil {
		problems = append(problems, log.Error())
	}
	return strings.Join(problems, "; ")
}

// faults counts what the node keeps against replicas, ascending by name.
func faults(r *node.Replica) (list []admin.Faults) {
	for id, n := range r.Faults() {
		list = append(list, admin.Faults{Replica: id, Kept: n.Kept, More: n.More})
	}
	slices.SortFunc(list, func(a, b admin.Faults) int { return strings.Compare(string(a.Replica), string(b.Replica)) })
	return list
}

func (d *Desk) answerHost(m *nats.Msg) {
	answer := admin.HostResponse{Node: d.Node.Name()}
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
func (d *Desk) host(q admin.HostRequest) error {
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	if d.Node.Replica(q.Machine) != nil {
		return nil
	}
	_, err := d.Node.Host(ctx, q.Machine)
	if err == nil || !q.Create || !errors.Is(err, ordering.ErrNotFound) {
		return err
	}
	const most = 1 << 50
	if q.MaxBytes > most {
		return fmt.Errorf("log of %d bytes, want at most %d", q.MaxBytes, uint64(most))
	}
	log := jetstream.Config{Ref: jetstream.Ref{Machine: q.Machine, Epoch: 1}, Replicas: int(min(q.Replicas, 99)), MaxBytes: int64(q.MaxBytes)}
	if _, err := jetstream.Create(ctx, d.Conn, log); err != nil {
		return err
	}
	d.Logger.Info("made the log", "machine", string(q.Machine), "servers", q.Replicas)
	_, err = d.Node.Host(ctx, q.Machine)
	return err
}
