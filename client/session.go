package client

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
)

// sessionRecord is a session as it is kept between two lives of a client.
type sessionRecord struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Seed    []byte // of the ed25519 key whose public half is the client's id
	Opened  ordering.Seq
	Next    uint64
	Open    []openCall // ascending by number
}

// openCall is an input without a result.
type openCall struct {
	_       struct{} `cbor:",toarray"`
	Number  uint64
	Kind    host.ControlKind // 0: an input
	Payload []byte           // or the control input's body
}

// sessionFormat is the encoding of a session.
const sessionFormat canonical.Format = "LSs1"

// Session exports the session, for Options.Session of a client that goes on
// with it: who holds it can speak as this client. It is of use as long as the
// client makes no call after it; Options.Save has it whenever that changes.
func (c *Client) Session() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exportLocked()
}

// exportLocked is Session. The caller holds mu.
func (c *Client) exportLocked() []byte {
	r := sessionRecord{Machine: c.opts.Machine, Seed: c.key.Seed(), Opened: c.session.Opened, Next: c.next}
	for _, p := range c.calls {
		o := openCall{Number: p.number, Payload: p.payload}
		if p.control != nil {
			o.Kind, o.Payload = p.control.Kind, p.control.Body
		}
		r.Open = append(r.Open, o)
	}
	slices.SortFunc(r.Open, func(a, b openCall) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	return sessionFormat.Encode(r)
}

// openSession makes a new session, or takes up the one of the options.
func (c *Client) openSession() error {
	c.next, c.floor = 1, 1
	if c.opts.Session == nil {
		public, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return fmt.Errorf("make session key: %w", err)
		}
		c.key, c.session.Client = key, host.ClientID(public)
		return nil
	}
	var r sessionRecord
	if err := sessionFormat.Decode(c.opts.Session, &r); err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	switch {
	case r.Machine != c.opts.Machine:
		return fmt.Errorf("session is of machine %q, not %q", r.Machine, c.opts.Machine)
	case len(r.Seed) != ed25519.SeedSize || r.Next == 0:
		return errors.New("read session: it is malformed")
	}
	c.key = ed25519.NewKeyFromSeed(r.Seed)
	c.session = host.Session{Client: host.ClientID(c.key.Public().(ed25519.PublicKey)), Opened: r.Opened}
	c.next, c.floor = r.Next, r.Next
	for _, o := range r.Open {
		if o.Number == 0 || o.Number >= r.Next || c.calls[o.Number] != nil {
			return errors.New("read session: its open calls are malformed")
		}
		// Whether it was ordered in the session's former life is not known.
		p := &Pending{c: c, number: o.Number, payload: o.Payload, done: make(chan struct{}), sent: true, before: true}
		if o.Kind != 0 {
			p.payload, p.control = nil, &host.Control{Kind: o.Kind, Body: o.Payload}
		}
		c.floor = min(c.floor, o.Number)
		c.calls[o.Number] = p
		c.queue = append(c.queue, p)
		c.queued += p.size()
		c.resumed = append(c.resumed, p)
	}
	return nil
}

// Resumed are the calls that the session of Options.Session had open, ascending
// by number. They are sent again, under their numbers, and applied once.
func (c *Client) Resumed() []*Pending { return c.resumed }

// Input is what the call asks; nil for a control input.
func (p *Pending) Input() []byte { return p.payload }
