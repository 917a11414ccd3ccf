package client

import (
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/wasmabi"
)

// receive takes one replica's answer from the wire.
func (c *Client) receive(data []byte) {
	answer, receipts, err := protocol.DecodeAnswer(c.session.Client, data)
	if err != nil || answer.Vote.Machine != c.opts.Machine {
		c.opts.Logger.Debug("drop answer", "err", err)
		return
	}
	c.judge.Lock()
	v := c.filter.add(answer, receipts)
	learn := v.unknown > c.filter.latest
	c.judge.Unlock()
	c.settle(v)
	if learn {
		c.learnOnce()
	}
}

// settle carries out a verdict.
func (c *Client) settle(v verdict) {
	if v.accepted != nil {
		c.mu.Lock()
		for _, r := range v.accepted {
			p := c.calls[r.Number]
			switch {
			case p == nil:
			case r.Status == wasmabi.Refused && host.Refusal(r.Code) == host.RefusedEntryFull:
				c.again(p)
			default:
				c.finish(p, Output{Seq: v.at.seq, Bytes: r.Output, Gas: r.Gas, number: r.Number, proof: v.proof}, outcome(r))
			}
		}
		c.mu.Unlock()
	}
	if v.missing != nil {
		time.AfterFunc(receiptsPatience, func() {
			if c.wants(v.at) {
				c.mu.Lock()
				for _, id := range v.against {
					c.responders.blame(id, time.Now())
				}
				c.mu.Unlock()
			}
			c.chase(v.at, v.missing, 0)
		})
	}
	// A position that no majority will agree on gives no answer. The retry
	// orders the input again, at a position of its own; what was applied is
	// answered from the session's window there.
	if v.failed {
		c.opts.Logger.Warn("voters disagree", "seq", v.at.seq)
	}
}

const (
	// receiptsPatience is how long the responder's message may come after those
	// of a majority.
	receiptsPatience = 5 * time.Millisecond
	// chasePause is between asking one voter for the receipts and the next.
	chasePause = 50 * time.Millisecond
	maxChases  = 8
)

// chase asks those who have an entry's receipts for them, one after the other.
func (c *Client) chase(p position, from []audit.ReplicaID, try int) {
	if try == maxChases || !c.wants(p) || c.run.Err() != nil {
		return
	}
	again := protocol.Again{Client: c.session.Client, Epoch: p.epoch, Seq: p.seq}
	subject := protocol.QuerySubjectOf(c.opts.Machine, from[try%len(from)])
	if err := c.conn.Publish(subject, protocol.AgainFormat.Encode(again)); err != nil {
		c.opts.Logger.Debug("ask for receipts", "err", err)
	}
	time.AfterFunc(chasePause, func() { c.chase(p, from, try+1) })
}

func (c *Client) wants(p position) bool {
	c.judge.Lock()
	defer c.judge.Unlock()
	return c.filter.wants(p)
}

// trust takes a membership that was learned.
func (c *Client) trust(m audit.Members) {
	c.judge.Lock()
	verdicts := c.filter.trust(m)
	newest := c.filter.views[c.filter.latest]
	c.judge.Unlock()
	c.mu.Lock()
	if newest.Seq >= c.members.Seq {
		c.members = newest
	}
	c.mu.Unlock()
	c.known.Store(true)
	for _, v := range verdicts {
		c.settle(v)
	}
}

// learn judges infos and trusts what they show.
func (c *Client) learn(infos []host.Info) {
	c.judge.Lock()
	m, ok := c.filter.learn(infos)
	c.judge.Unlock()
	if ok {
		c.trust(m)
	}
}

// learnOnce asks for the membership in a goroutine, unless one does already.
func (c *Client) learnOnce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.learning && !c.closed {
		c.learning = true
		c.done.Add(1)
		go c.learnMembers()
	}
}
