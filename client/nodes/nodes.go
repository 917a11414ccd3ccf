// Package nodes asks nodes as nodes: who is there, and to host a machine. See
// package host/admin for the questions.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/admin"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// ErrNone says that NATS was reached, and no node behind it.
var ErrNone = errors.New("no node answers: is a lockstep node running on this cluster?")

// How long nodes that are slow to answer are waited for: the first, and the
// others once some have answered.
const (
	firstPatience = 3 * time.Second
	patience      = 250 * time.Millisecond
)

// List asks every node about itself and one machine, "" for none, and returns
// what arrives in time, in the order of names.
func List(ctx context.Context, conn *nats.Conn, machine ordering.Name) ([]admin.Node, error) {
	return list(ctx, conn, admin.ListRequest{Machine: machine})
}

// Evidence is List with what the nodes keep against replicas of the machine.
func Evidence(ctx context.Context, conn *nats.Conn, machine ordering.Name) ([]admin.Node, error) {
	return list(ctx, conn, admin.ListRequest{Machine: machine, Evidence: true})
}

func list(ctx context.Context, conn *nats.Conn, q admin.ListRequest) ([]admin.Node, error) {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := conn.PublishRequest(admin.ListSubject, inbox, admin.ListFormat.Encode(q)); err != nil {
		return nil, fmt.Errorf("ask nodes: %w", err)
	}
	if err := conn.FlushWithContext(ctx); err != nil {
		return nil, fmt.Errorf("ask nodes: %w", err)
	}
	if err := denied(conn, admin.ListSubject); err != nil {
		return nil, fmt.Errorf("ask nodes: %w", err)
	}
	var found []admin.Node
	for {
		m, err := next(ctx, sub, len(found) > 0)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && len(found) == 0:
			return nil, ErrNone
		case err != nil:
			slices.SortFunc(found, func(a, b admin.Node) int { return strings.Compare(string(a.Name), string(b.Name)) })
			return found, nil
		}
		var n admin.Node
		if admin.NodeFormat.Decode(m.Data, &n) == nil {
			found = append(found, n)
		}
	}
}

func next(ctx context.Context, sub *nats.Subscription, answered bool) (*nats.Msg, error) {
	wait := firstPatience
	if answered {
		wait = patience
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, nats.ErrNoResponders
	}
	return m, err
}

// denied returns a *jetstream.PermissionError if a server has said that it lets nothing be
// published to a subject.
func denied(conn *nats.Conn, subject string) error {
	if e, ok := jetstream.Denial(conn.LastError()); ok && e.Subject == subject && !e.Subscribe {
		return &e
	}
	return nil
}

// Host asks a node to host a machine, and waits until it does. With create it
// makes the log where there is none.
func Host(ctx context.Context, conn *nats.Conn, node audit.ReplicaID, q admin.HostRequest) error {
	m, err := conn.RequestWithContext(ctx, admin.HostSubject(node), admin.HostFormat.Encode(q))
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("host %s on %s: no node of that name answers", q.Machine, node)
	}
	if err != nil {
		return fmt.Errorf("host %s on %s: %w", q.Machine, node, errors.Join(denied(conn, admin.HostSubject(node)), err))
	}
	var r admin.HostResponse
	if err := admin.HostResponseFormat.Decode(m.Data, &r); err != nil {
		return fmt.Errorf("host %s on %s: %w", q.Machine, node, err)
	}
	if r.Error != "" {
		return fmt.Errorf("node %s: %s", node, r.Error)
	}
	return nil
}
