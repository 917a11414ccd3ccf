package client

import (
	"context"
	"fmt"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// A machine's log may break; its replicas then go on in a log of the next epoch. A client whose
// inputs stay unanswered asks in which one they are.

// turnTo sends to the log of an epoch from now on.
func (c *Client) turnTo(epoch ordering.Epoch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil && epoch <= c.epoch || c.closed {
		return nil
	}
	ref := jetstream.Ref{Machine: ordering.Name(c.opts.Machine), Epoch: epoch}
	log, err := c.opts.openLog(c.conn, ref)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if old := c.log; old != nil {
		// What it still waits for is told with mu held.
		go func() { _ = old.Close() }()
	}
	c.log, c.epoch = log, epoch
	// Until Close:
	c.denials.watch(PermissionError{Subject: ref.InputSubject()}, func(err error) { c.inputsDenied(err, false) })
	c.denials.watch(PermissionError{Subject: ref.ControlSubject()}, func(err error) { c.inputsDenied(err, true) })
	return nil
}

// appender is the log that the client sends to.
func (c *Client) appender() Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log
}

// findEpoch asks in which epoch the replicas are, and sends there what is unanswered.
func (c *Client) findEpoch() {
	defer c.done.Done()
	ctx, cancel := context.WithTimeout(c.run, max(c.opts.Retry, DefaultRetry)) // replicas' answers take a while to gather
	defer cancel()
	infos, err := c.Infos(ctx)
	if err == nil {
		c.learn(infos)
		c.mu.Lock()
		members := c.members
		c.mu.Unlock()
		if epoch, ok := epochOf(infos, members); ok {
			err = c.turnTo(epoch)
		}
	}
	if err != nil {
		c.opts.Logger.Debug("ask for the epoch", "err", err)
	}
	c.mu.Lock()
	c.finding = false
	c.mu.Unlock()
}
