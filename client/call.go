package client

import (
	"context"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Output is what a majority of voters answered.
type Output struct {
	Seq   ordering.Seq // of the entry whose outputs were accepted
	Bytes []byte
	Gas   uint64

	number uint64
	proof  *proof
}

// Pending is an input on its way. It goes on when nobody waits for it, until
// Cancel or Close.
type Pending struct {
	c       *Client
	number  uint64
	payload []byte        // of an input
	control *host.Control // of a control input; then payload is empty
	flight  *flight       // nil while it is not sent
	done    chan struct{} // closed with the result

	held    bool // until replicas have said that the machine is deployed; see deployed.go
	sent    bool // published at least once
	before  bool // maybe in another entry too, or by a client before this one
	ordered bool // acknowledged by the log
	seq     ordering.Seq
	out     Output
	err     error
}

// Bounds of the calls that wait to be sent, and of the queries of each mode.
const (
	maxQueue      = 1 << 16
	maxQueueBytes = 256 << 20
)

// Call sends an input and waits until a majority of voters has answered alike.
// Errors: host.ErrInputTooLarge and ErrBusy before anything is sent;
// *PermissionError, after which nothing is; *RejectedError, *TrapError, ErrOutOfGas
// and *RefusedError, which a majority of voters stated; *FailError when ctx ends
// before that.
func (c *Client) Call(ctx context.Context, input []byte) (Output, error) {
	if err := c.deployed(ctx); err != nil {
		return Output{}, err
	}
	p, err := c.input(&Pending{payload: input})
	if err != nil {
		return Output{}, err
	}
	return p.settle(ctx)
}

// CallAsync sends an input and returns at once. The input is not to be changed
// before the call is done. Where Call would have returned an error without sending
// anything, since the machine is not deployed or nobody hosts it, that is the result.
func (c *Client) CallAsync(input []byte) (*Pending, error) {
	return c.input(&Pending{payload: input, held: true})
}

func (c *Client) input(p *Pending) (*Pending, error) {
	if len(p.payload) > wasmabi.MaxInput {
		return nil, host.ErrInputTooLarge
	}
	return c.enqueue(p)
}

// Done is closed when the call has a result.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait waits for the result, which is as Call's. Where ctx ends first, it says
// what is known in a *FailError, and the call goes on.
func (p *Pending) Wait(ctx context.Context) (Output, error) {
	select {
	case <-p.done:
		return p.out, p.err
	default:
	}
	select {
	case <-p.done:
		return p.out, p.err
	case <-ctx.Done():
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		return Output{}, p.fail(ctx.Err())
	}
}

// Cancel gives the call up. It may be applied all the same.
func (p *Pending) Cancel() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.finish(p, Output{}, p.fail(context.Canceled))
}

// settle waits like Wait, and gives the call up when ctx ends.
func (p *Pending) settle(ctx context.Context) (Output, error) {
	select {
	case <-p.done:
		return p.out, p.err
	case <-ctx.Done():
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.finish(p, Output{}, p.fail(ctx.Err()))
	return p.out, p.err // an answer may have come just now, and wins
}

// fail says what is known. The caller holds mu.
func (p *Pending) fail(err error) *FailError {
	f := &FailError{Fate: Unsent, Err: err}
	if p.sent {
		f.Fate = MaybeOrdered
	}
	if p.ordered {
		f.Fate, f.Seq = Ordered, p.seq
	}
	return f
}

// control sends a control input and waits like Call.
func (c *Client) control(ctx context.Context, kind host.ControlKind, body []byte) (Output, error) {
	if kind != host.ControlDeploy {
		if err := c.deployed(ctx); err != nil {
			return Output{}, err
		}
	}
	p := &Pending{control: &host.Control{Kind: kind, Body: body}}
	c.found(p.control)
	p, err := c.enqueue(p)
	if err != nil {
		return Output{}, err
	}
	return p.settle(ctx)
}

// found has a majority of those that a DEPLOY names answer it, if it is refused.
func (c *Client) found(control *host.Control) {
	var body host.Deploy
	if control.Kind != host.ControlDeploy || host.DeployFormat.Decode(control.Body, &body) != nil {
		return
	}
	c.judge.Lock()
	defer c.judge.Unlock()
	c.filter.founders = audit.Members{Mode: audit.Majority, List: body.Members}
}

// size is the bytes that a call holds on to.
func (p *Pending) size() int {
	if p.control != nil {
		return len(p.control.Body)
	}
	return len(p.payload)
}

// enqueue gives a call its number and has it sent.
func (c *Client) enqueue(p *Pending) (*Pending, error) {
	p.c, p.done = c, make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case len(c.queue) >= maxQueue || c.queued+p.size() > maxQueueBytes:
		return nil, ErrBusy
	}
	p.number = c.next
	c.next++
	c.calls[p.number] = p
	c.queue = append(c.queue, p)
	c.queued += p.size()
	c.poke()
	return p, nil
}

// finish gives a call its result, once. The caller holds mu.
func (c *Client) finish(p *Pending, out Output, err error) {
	if c.calls[p.number] != p {
		return
	}
	delete(c.calls, p.number)
	for c.floor < c.next && c.calls[c.floor] == nil {
		c.floor++
	}
	p.out, p.err = out, err
	close(p.done)
	c.land(p)
}
