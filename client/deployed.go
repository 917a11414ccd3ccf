package client

import (
	"context"

	"lockstep/host"
)

// deployed returns a *RefusedError if every replica that answers says that the
// machine has no guest: there are no voters then, and nobody would answer a
// call. It asks only as long as no membership is known.
func (c *Client) deployed(ctx context.Context) error {
	if c.known.Load() {
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

// free reports whether a call that waits may be sent. One that came without a look at
// the machine is held while no membership is known, and replicas are asked. The caller
// holds mu.
func (c *Client) free(p *Pending) bool {
	if !p.held || c.known.Load() {
		return true
	}
	if !c.asking && !c.closed {
		c.asking = true
		c.done.Add(1)
		go c.ask()
	}
	return false
}

// ask asks whether the machine is deployed, and lets those that are held go, or ends
// them. Nothing of theirs was sent.
func (c *Client) ask() {
	defer c.done.Done()
	err := c.deployed(c.run)
	c.mu.Lock()
	c.asking = false
	for _, p := range c.queue {
		if p.held && err != nil {
			c.finish(p, Output{}, err)
		}
		p.held = false
	}
	c.mu.Unlock()
	c.poke()
}
