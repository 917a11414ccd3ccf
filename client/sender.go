package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// flight is an entry under way: sent, and not answered in full.
type flight struct {
	calls []*Pending
	open  int // of calls, without a result
	sent  time.Time
	data  []byte // the entry as it was sent, to send it again
	sends int
}

// first reports whether none of its calls can have been ordered by another sending.
// The caller holds mu.
func (f *flight) first() bool {
	return f.sends <= 1 && !slices.ContainsFunc(f.calls, func(p *Pending) bool { return p.before })
}

// maxPayload bounds the payloads of one batch, so that its encoding stays
// under the largest entry.
var maxPayload = ordering.MaxEntry - host.BatchOverhead(host.MaxBatch)

// numbersAhead bounds how far the numbers under way may be apart, so that the
// session's window holds the receipts of all of them.
const numbersAhead = 3072

// unsentPause is how soon an entry goes again that was certainly not ordered.
const unsentPause = 50 * time.Millisecond

// gatherPatience is how long a call waits for company while entries are under
// way.
const gatherPatience = 2 * time.Millisecond

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
	tick := time.NewTicker(min(c.opts.Retry/4, unsentPause))
	defer tick.Stop()
	gather := time.NewTimer(time.Hour)
	defer gather.Stop()
	gathering := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-gather.C:
			gathering = false
			c.depart(true)
		case <-tick.C:
			c.retry()
		}
		for c.depart(false) {
		}
		if waits := c.waits(); waits && !gathering {
			gathering = true
			gather.Reset(gatherPatience)
		}
	}
}

// waits reports whether calls are queued that could be sent.
func (c *Client) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0 && len(c.flights) < c.opts.Window && c.free(c.queue[0])
}

// depart sends the next entry, and reports whether there was one to send and
// room in the window. While others are under way an entry waits until it is
// worth its price, which is when it holds a window's share of the open calls, or
// hurry says that it has waited for long enough. An idle client never waits.
func (c *Client) depart(hurry bool) bool {
	c.mu.Lock()
	if len(c.queue) == 0 || len(c.flights) >= c.opts.Window ||
		len(c.flights) > 0 && !hurry && len(c.queue) < c.open/c.opts.Window {
		c.mu.Unlock()
		return false
	}
	f := c.board()
	if f == nil {
		c.mu.Unlock()
		return false
	}
	c.flights[f] = struct{}{}
	c.open += f.open
	session := c.session
	session.Floor = c.floor
	session.Responder = c.responders.number(c.members, time.Now())
	sign := c.members.Mode == audit.Signed || !c.known.Load() // it may be asked for
	var saved []byte
	if c.opts.Save != nil {
		saved = c.exportLocked()
	}
	c.mu.Unlock()
	if saved != nil {
		if err := c.opts.Save(saved); err != nil {
			c.abandon(f, err)
			return true
		}
	}
	f.data = c.encode(session, f.calls, sign)
	c.publish(f)
	return true
}

// board makes a flight of what is queued, as far as it is free to go; nil: nothing is. The caller holds mu.
func (c *Client) board() *flight {
	f := &flight{sent: time.Now()}
	bytes, taken := 0, 0
	for _, p := range c.queue {
		full := len(f.calls) == host.MaxBatch || bytes+len(p.payload) > maxPayload
		if len(f.calls) > 0 && (full || p.control != nil) || p.number >= c.floor+numbersAhead || !c.free(p) {
			break
		}
		taken++
		c.queued -= p.size()
		if c.calls[p.number] != p {
			continue // its caller gave up before it was sent
		}
		p.flight = f
		f.calls = append(f.calls, p)
		bytes += len(p.payload)
		if p.control != nil {
			break // a control input has an entry of its own
		}
	}
	clear(c.queue[:taken])
	if c.queue = c.queue[taken:]; len(c.queue) == 0 {
		c.queue = nil
	}
	f.open = len(f.calls)
	if f.open == 0 {
		return nil
	}
	return f
}

// encode makes the entry. A control input is always signed, since DEPLOY is
// sent before the machine's mode is known.
func (c *Client) encode(session host.Session, calls []*Pending, sign bool) []byte {
	if control := calls[0].control; control != nil {
		entry := *control
		entry.Session, entry.Number = session, calls[0].number
		return entry.Sign(c.opts.Machine, c.key)
	}
	b := host.Batch{Session: session, Inputs: make([]host.Input, 0, len(calls))}
	for _, p := range calls {
		b.Inputs = append(b.Inputs, host.Input{Number: p.number, Payload: p.payload})
	}
	if sign {
		return b.Sign(c.opts.Machine, c.key)
	}
	return b.Encode()
}

// publish sends an entry to the log; what comes of it is learned from the
// voters, and from the log's acknowledgement only that it was ordered.
func (c *Client) publish(f *flight) {
	c.mu.Lock()
	f.sends++
	for _, p := range f.calls {
		p.sent = p.sent || p.flight == f
	}
	c.mu.Unlock()
	if err := c.appender().AppendAsync(f.data, func(seq ordering.Seq, err error) { c.acked(f, seq, err) }); err != nil {
		c.acked(f, 0, err)
	}
}

func (c *Client) acked(f *flight, seq ordering.Seq, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A first sending that the log refuses is certainly not ordered. After
	// another one whose fate is unknown that cannot be said.
	refused := f.first() && (errors.Is(err, ordering.ErrFull) || errors.Is(err, ordering.ErrTooLarge))
	for _, p := range f.calls {
		if p.flight != f {
			continue // it has its answer, or goes in another one
		}
		if err == nil {
			p.ordered, p.seq = true, seq
		} else if refused {
			c.finish(p, Output{}, err)
		}
	}
	if err != nil {
		c.opts.Logger.Debug("append", "err", err) // it goes again when it is overdue
		if errors.Is(err, jetstream.ErrNoLeader) || errors.Is(err, jetstream.ErrBusy) {
			f.sent = time.Now().Add(unsentPause - c.opts.Retry) // which is soon, since it is not on its way
		}
	}
}

// again queues a call that was not run, since its entry put out too much before it. The
// first of an entry always is, so that this comes to an end. The caller holds mu.
func (c *Client) again(p *Pending) {
	if p.flight == nil {
		return // it waits already
	}
	c.land(p)
	p.before, p.ordered, p.seq = true, false, 0
	i, _ := slices.BinarySearchFunc(c.queue, p.number, func(q *Pending, n uint64) int { return cmp.Compare(q.number, n) })
	c.queue = slices.Insert(c.queue, i, p)
	c.queued += p.size()
	c.poke()
}

// land takes a call from its flight, which ends with its last. The caller holds mu.
func (c *Client) land(p *Pending) {
	f := p.flight
	if f == nil {
		return
	}
	p.flight = nil
	f.open--
	c.open--
	if f.open == 0 {
		delete(c.flights, f)
		c.poke()
	}
}

// abandon ends the calls of a flight that was not sent.
func (c *Client) abandon(f *flight, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range f.calls {
		c.finish(p, Output{}, p.fail(err))
	}
}

// retry sends again the flights that are overdue.
func (c *Client) retry() {
	c.mu.Lock()
	var overdue []*flight
	for f := range c.flights {
		if time.Since(f.sent) >= c.opts.Retry && f.data != nil {
			f.sent = time.Now()
			overdue = append(overdue, f)
		}
	}
	find := len(overdue) > 0 && !c.finding
	c.finding = c.finding || find
	c.mu.Unlock()
	if find {
		c.done.Add(1) // by a goroutine that counts itself
		go c.findEpoch()
	}
	for _, f := range overdue {
		c.publish(f)
	}
}
