package client

import (
	"context"
	"fmt"
	"sync/atomic"

	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Mode says how sure a read is.
type Mode uint8

// The modes, the default first.
const (
	// Linearizable sees every input that was answered, to whomever, before the
	// read began, and no later read sees less. One replica runs the query; that
	// it is not behind, and on the same log as a majority, a majority confirms.
	// What it says of the state is its own word.
	Linearizable Mode = iota
	// Stale is what one replica says from the state that it has, at once.
	Stale
	// Voted is linearizable, and a majority of voters has run the query at the
	// same seq with the same output.
	Voted

	modes = 3
)

func (m Mode) String() string {
	return [...]string{"linearizable", "stale", "voted", "unknown"}[min(m, modes)]
}

// maxRounds is the number of questions of one mode that may be under way at
// once. Reads that come meanwhile share the next one.
const maxRounds = 2

// read is one query on its way.
type read struct {
	ctx   context.Context
	input []byte
	from  ordering.Seq
	done  chan answered // buffered: one
	busy  atomic.Bool   // replicas were too busy when it was last asked
}

// answered is the result of a read.
type answered struct {
	out Output
	err error
}

// reads are the queries of one mode.
type reads struct {
	queue  []*read
	bytes  int // of the queue's inputs
	rounds int // under way
}

// Query asks the guest's lockstep_query. Whatever it changes is undone, and
// nothing is put into the log, save on a machine of mode crash, where reads other
// than Stale put an entry there that asks nothing. Output.Seq is the entry after
// which the query ran. Errors are those of Call; an error of type *FailError says that there was
// no answer in time; it wraps ErrReplicasBusy if replicas refused, which are asked again as long as ctx lets it.
// ErrBusy says that too many of this client's queries wait already; nothing was asked.
func (c *Client) Query(ctx context.Context, input []byte, mode Mode) (Output, error) {
	return c.QueryFrom(ctx, input, mode, 0)
}

// QueryFrom is a Query of a state that holds the entry at from: with the
// Output.Seq of a call it reads what that call wrote, in every mode.
func (c *Client) QueryFrom(ctx context.Context, input []byte, mode Mode, from ordering.Seq) (Output, error) {
	if len(input) > wasmabi.MaxInput {
		return Output{}, host.ErrInputTooLarge
	}
	if err := c.deployed(ctx); err != nil {
		return Output{}, err
	}
	q := &read{ctx: ctx, input: input, from: from, done: make(chan answered, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Output{}, ErrClosed
	}
	of := &c.reads[min(mode, modes-1)]
	if len(of.queue) >= maxQueue || of.bytes+len(input) > maxQueueBytes {
		c.mu.Unlock()
		return Output{}, ErrBusy
	}
	of.queue = append(of.queue, q)
	of.bytes += len(input)
	if of.rounds < maxRounds {
		of.rounds++
		c.done.Add(1)
		go c.readRounds(min(mode, modes-1))
	}
	c.mu.Unlock()
	select {
	case r := <-q.done:
		return r.out, r.err
	case <-ctx.Done():
		err := ctx.Err()
		if q.busy.Load() {
			err = fmt.Errorf("%w, %w", err, ErrReplicasBusy)
		}
		return Output{}, &FailError{Err: err}
	case <-c.run.Done():
		return Output{}, &FailError{Err: ErrClosed}
	}
}

// readRounds asks what is queued, and what is queued meanwhile.
func (c *Client) readRounds(mode Mode) {
	defer c.done.Done()
	for {
		batch := c.takeReads(mode)
		if batch == nil {
			return
		}
		c.round(mode, batch)
	}
}

// takeReads takes as many reads as one question holds; none ends the round.
func (c *Client) takeReads(mode Mode) (batch []*read) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := &c.reads[mode]
	bytes := 0
	for len(of.queue) > 0 && len(batch) < protocol.MaxQueries {
		q := of.queue[0]
		if len(batch) > 0 && bytes+len(q.input) > maxPayload {
			break
		}
		of.queue[0] = nil
		of.queue = of.queue[1:]
		of.bytes -= len(q.input)
		if q.ctx.Err() == nil {
			batch = append(batch, q)
			bytes += len(q.input)
		}
	}
	if len(batch) == 0 || c.closed {
		of.rounds--
		return nil
	}
	return batch
}
