package client

import (
	"context"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Output is what a majority of voters answered.
type Output struct {
	Seq   ordering.Seq // of the entry whose outputs were accepted
	Bytes []byte
	Gas   uint64
}

// call is one input on its way.
type call struct {
	number  uint64
	payload []byte        // of an input
	control *host.Control // of a control input; then payload is empty
	done    chan result   // buffered: one result
	ordered bool          // acknowledged by the log
	seq     ordering.Seq
}

type result struct {
	out Output
	err error
}

// Call sends an input and waits until a majority of voters has answered alike.
// Errors: host.ErrInputTooLarge before anything is sent; *RejectedError,
// *TrapError, ErrOutOfGas and *RefusedError, which a majority of voters
// stated; *FailError when ctx ends before that.
func (c *Client) Call(ctx context.Context, input []byte) (Output, error) {
	if len(input) > wasmabi.MaxInput {
		return Output{}, host.ErrInputTooLarge
	}
	if err := c.deployed(ctx); err != nil {
		return Output{}, err
	}
	return c.do(ctx, &call{payload: input})
}

// deployed returns a *RefusedError if every replica that answers says that the
// machine has no guest: there are no voters then, and nobody would answer a
// call. It asks only as long as no membership is known.
func (c *Client) deployed(ctx context.Context) error {
	c.mu.Lock()
	known := c.filter.latest > 0
	c.mu.Unlock()
	if known {
		return nil
	}
	infos, err := c.Infos(ctx)
	if err != nil {
		return err
	}
	for i := range infos {
		if infos[i].Deployed {
			return nil
		}
	}
	return &RefusedError{Refusal: host.RefusedNotDeployed}
}

// control sends a control input and waits like Call.
func (c *Client) control(ctx context.Context, kind host.ControlKind, body []byte) (Output, error) {
	if kind != host.ControlDeploy {
		if err := c.deployed(ctx); err != nil {
			return Output{}, err
		}
	}
	return c.do(ctx, &call{control: &host.Control{Kind: kind, Body: body}})
}

func (c *Client) do(ctx context.Context, w *call) (Output, error) {
	w.done = make(chan result, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Output{}, ErrClosed
	}
	w.number = c.next
	c.next++
	c.calls[w.number] = w
	c.queue = append(c.queue, w)
	c.mu.Unlock()
	c.poke()
	select {
	case r := <-w.done:
		return r.out, r.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(w, result{err: &FailError{Ordered: w.ordered, Seq: w.seq, Err: ctx.Err()}})
	r := <-w.done // an answer may have come just now, and wins
	return r.out, r.err
}

// finish gives a call its result, once. The caller holds mu.
func (c *Client) finish(w *call, r result) {
	if c.calls[w.number] != w {
		return
	}
	delete(c.calls, w.number)
	w.done <- r
}

// receive takes one replica's answer from the wire.
func (c *Client) receive(data []byte) {
	answer, receipts, err := host.DecodeAnswer(data)
	if err != nil || answer.Vote.Machine != c.opts.Machine {
		c.opts.Logger.Warn("drop answer", "err", err)
		return
	}
	c.mu.Lock()
	v := c.filter.add(answer, receipts)
	c.settle(v)
	learn := v.unknown > c.filter.latest
	c.mu.Unlock()
	if learn {
		c.learnOnce()
	}
}

// learnOnce asks for the membership in a goroutine, unless one does already.
func (c *Client) learnOnce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.learning && !c.closed {
		c.learning = true
		go c.learnMembers()
	}
}

// settle carries out a verdict. The caller holds mu.
func (c *Client) settle(v verdict) {
	for _, r := range v.accepted {
		w := c.calls[r.Number]
		if w == nil {
			continue
		}
		err := outcome(r)
		c.finish(w, result{Output{Seq: v.seq, Bytes: r.Output, Gas: r.Gas}, err})
	}
	if v.accepted != nil {
		c.land()
	}
	// A position that no majority will agree on gives no answer. The retry
	// orders the input again, at a position of its own; what was applied is
	// answered from the session's window there.
	if v.failed {
		c.opts.Logger.Warn("voters disagree", "seq", v.seq)
	}
}
