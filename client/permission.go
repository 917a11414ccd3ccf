package client

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"lockstep/ordering/jetstream"
)

// PermissionError says that the NATS servers do not let this client's user publish to
// a subject, or subscribe to it. What was to be published was not.
type PermissionError = jetstream.PermissionError

// denials tells those who wait for something that the servers deny it. A server says so
// in its own time and not in answer to a message, so that it is known by the subject
// alone whom it is about.
type denials struct {
	mu    sync.Mutex
	waits map[PermissionError]map[*func(error)]struct{} // nil once closed
}

// hear takes note of what goes wrong on a connection, besides who does already.
func (d *denials) hear(conn *nats.Conn) {
	d.waits = make(map[PermissionError]map[*func(error)]struct{})
	before := conn.ErrorHandler()
	conn.SetErrorHandler(func(conn *nats.Conn, sub *nats.Subscription, err error) {
		if e, ok := jetstream.Denial(err); ok {
			d.tell(e)
		}
		if before != nil {
			before(conn, sub, err)
		}
	})
}

func (d *denials) tell(e PermissionError) {
	d.mu.Lock()
	var all []func(error)
	for f := range d.waits[e] {
		all = append(all, *f)
	}
	d.mu.Unlock()
	for _, f := range all {
		f(&e)
	}
}

// watch calls f whenever that is denied, until stop.
func (d *denials) watch(what PermissionError, f func(error)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waits == nil {
		return func() {}
	}
	if d.waits[what] == nil {
		d.waits[what] = make(map[*func(error)]struct{})
	}
	d.waits[what][&f] = struct{}{}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.waits[what], &f); len(d.waits[what]) == 0 {
			delete(d.waits, what)
		}
	}
}

// guard is ctx, which ends with a *PermissionError as its cause if one of these is denied.
func (d *denials) guard(ctx context.Context, what ...PermissionError) (guarded context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var stops []func()
	for _, w := range what {
		stops = append(stops, d.watch(w, cancel))
	}
	return ctx, func() {
		for _, f := range stops {
			f()
		}
		cancel(nil)
	}
}

func (d *denials) close() {
	d.mu.Lock()
	d.waits = nil
	d.mu.Unlock()
}

// denied is the *PermissionError that ended a context, or nil.
func denied(ctx context.Context) error {
	if e := (*PermissionError)(nil); errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}

// subscribed returns a *PermissionError if one of the client's subscriptions was denied.
// The servers have been heard about all of them.
func (c *Client) subscribed() error {
	e, ok := jetstream.Denial(c.conn.LastError())
	root := c.asker.inbox[:strings.LastIndexByte(strings.TrimSuffix(c.asker.inbox, "."), '.')+1]
	if ok && e.Subscribe && (e.Subject == c.outputs.Subject || strings.HasPrefix(e.Subject, root)) {
		return &e
	}
	return nil
}

// inputsDenied ends the calls that are sent and not ordered, of inputs or of control
// inputs: the servers do not take these of this client.
func (c *Client) inputsDenied(err error, control bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flights {
		if (f.calls[0].control != nil) != control {
			continue
		}
		for _, p := range f.calls {
			switch fail := p.fail(err); {
			case p.flight != f:
			case fail.Fate == Ordered:
			case f.first():
				c.finish(p, Output{}, err) // certainly
			default:
				c.finish(p, Output{}, fail)
			}
		}
	}
}
