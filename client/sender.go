package client

import (
	"context"
	"errors"
	"time"

	"lockstep/host"
	"lockstep/ordering"
)

// flight is an entry under way: sent, and not answered in full.
type flight struct {
	calls []*call
	sent  time.Time
	data  []byte // the entry as it was sent, to send it again
	sends int
}

// maxPayload bounds the payloads of one batch, so that its encoding stays
// under the largest entry.
var maxPayload = ordering.MaxEntry - host.BatchOverhead(host.MaxBatch)

// poke wakes the sender; it never blocks.
func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send is the client's one goroutine: it makes entries of queued calls while
// the window has room, and sends again what stays unanswered.
func (c *Client) send(ctx context.Context) {
	defer c.done.Done()
	tick := time.NewTicker(c.opts.Retry / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
			c.retry()
		}
		for f := c.depart(); f != nil; f = c.depart() {
			c.publish(f)
		}
	}
}

// depart makes the next entry, or returns nil if there is nothing to send or
// no room in the window.
func (c *Client) depart() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flights) >= c.opts.Window {
		return nil
	}
	f := &flight{sent: time.Now()}
	bytes := 0
	for len(c.queue) > 0 {
		w := c.queue[0]
		full := len(f.calls) == host.MaxBatch || bytes+len(w.payload) > maxPayload
		if len(f.calls) > 0 && (full || w.control != nil) {
			break
		}
		c.queue = c.queue[1:]
		if c.calls[w.number] != w {
			continue // its caller gave up before it was sent
		}
		f.calls = append(f.calls, w)
		bytes += len(w.payload)
		if w.control != nil {
			break // a control input has an entry of its own
		}
	}
	if len(f.calls) == 0 {
		return nil
	}
	f.data = c.encode(f.calls)
	c.flights[f] = struct{}{}
	return f
}

// encode makes the entry. The caller holds mu.
func (c *Client) encode(calls []*call) []byte {
	session := c.session
	session.Floor = c.next
	for number := range c.calls {
		session.Floor = min(session.Floor, number)
	}
	if control := calls[0].control; control != nil {
		entry := *control
		entry.Session, entry.Number = session, calls[0].number
		return entry.Encode()
	}
	b := host.Batch{Session: session}
	for _, w := range calls {
		b.Inputs = append(b.Inputs, host.Input{Number: w.number, Payload: w.payload})
	}
	return b.Encode()
}

// publish sends an entry to the log; what comes of it is learned from the
// voters, and from the log's acknowledgement only that it was ordered.
func (c *Client) publish(f *flight) {
	f.sends++ // by the sender's goroutine alone, before the log can answer
	if err := c.log.AppendAsync(f.data, func(seq ordering.Seq, err error) { c.acked(f, seq, err) }); err != nil {
		c.acked(f, 0, err)
	}
}

func (c *Client) acked(f *flight, seq ordering.Seq, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A first sending that the log refuses is certainly not ordered. After
	// another one whose fate is unknown that cannot be said.
	refused := f.sends == 1 && (errors.Is(err, ordering.ErrFull) || errors.Is(err, ordering.ErrTooLarge))
	for _, w := range f.calls {
		if err == nil {
			w.ordered, w.seq = true, seq
		} else if refused {
			c.finish(w, result{err: err})
		}
	}
	if err != nil {
		c.opts.Logger.Debug("append", "err", err) // it goes again when it is overdue
		c.land()
	}
}

// retry sends again the flights that are overdue.
func (c *Client) retry() {
	c.mu.Lock()
	var overdue []*flight
	for f := range c.flights {
		if time.Since(f.sent) >= c.opts.Retry {
			f.sent = time.Now()
			overdue = append(overdue, f)
		}
	}
	c.land()
	c.mu.Unlock()
	for _, f := range overdue {
		c.publish(f)
	}
}

// land takes the flights out of the window whose calls all have a result. The
// caller holds mu.
func (c *Client) land() {
	for f := range c.flights {
		open := false
		for _, w := range f.calls {
			open = open || c.calls[w.number] == w
		}
		if !open {
			delete(c.flights, f)
			c.poke()
		}
	}
}
