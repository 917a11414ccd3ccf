package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/protocol"
)

// infoPatience is how long replicas that are slow to answer are waited for
// once some have answered.
const infoPatience = 100 * time.Millisecond

// askAgain is how long a question waits for a first answer before it is asked again, at first. It
// may be lost with the server that took it.
const askAgain = time.Second

// Infos asks every replica of the machine about itself and returns what
// arrives in time, of each once. What they say is each one's own word, signed by
// the key that it names.
func (c *Client) Infos(ctx context.Context) ([]host.Info, error) {
	for wait := askAgain; ; wait *= 2 {
		once, cancel := context.WithTimeout(ctx, wait)
		infos, err := c.askInfos(once)
		cancel()
		if len(infos) > 0 || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return infos, err
		}
	}
}

func (c *Client) askInfos(ctx context.Context) ([]host.Info, error) {
	all := protocol.Infos{Machine: c.opts.Machine}
	err := c.gather(ctx, host.InfoSubject(c.opts.Machine), nil, infoPatience, func(data []byte) bool {
		var in host.Info
		if host.InfoFormat.Decode(data, &in) == nil {
			all.Add(in)
		}
		return false
	})
	return all.List, err
}

// Recoveries are the epochs of the machine that began on an operator's word, oldest first: what was accepted in an
// earlier epoch beyond the base of one may be lost. It is the word of the voter that is furthest, and where the machine has an
// operator's key the operator's.
func (c *Client) Recoveries(ctx context.Context) ([]epochs.Recovery, error) {
	members, err := c.Members(ctx)
	if err != nil {
		return nil, err
	}
	infos, err := c.Infos(ctx)
	if err != nil {
		return nil, err
	}
	var best *host.Info
	for _, in := range protocol.OfVoters(infos, members) {
		if best == nil || in.Epoch > best.Epoch || in.Epoch == best.Epoch && in.Seq > best.Seq {
			best = &in
		}
	}
	if best == nil {
		return nil, errors.New("no voter answers")
	}
	return slices.DeleteFunc(best.Recoveries, func(r epochs.Recovery) bool { return r.Machine != c.opts.Machine || !r.HasWord(members) }), nil
}

// gather sends a request that many answer. It hands answers to add until add
// returns true, ctx ends, or nothing came for patience after the first answer, for
// maxPatience times that at most.
// It returns ErrUnknownMachine if nobody listens, and a *PermissionError if the
// servers do not let it ask.
func (c *Client) gather(ctx context.Context, subject string, request []byte, patience time.Duration, add func([]byte) bool) error {
	inbox := c.conn.NewRespInbox()
	ctx, stop := c.denials.guard(ctx, PermissionError{Subject: subject}, PermissionError{Subject: inbox, Subscribe: true})
	defer stop()
	sub, err := c.conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := c.conn.PublishRequest(subject, inbox, request); err != nil {
		return fmt.Errorf("publish request: %w", err)
	}
	var until time.Time
	for answered := false; ; answered = true {
		if answered && until.IsZero() {
			until = time.Now().Add(maxPatience * patience)
		} else if answered && time.Now().After(until) {
			return nil
		}
		data, err := nextAnswer(ctx, sub, patience, answered)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return ErrUnknownMachine
		case err != nil && denied(ctx) != nil:
			return denied(ctx)
		case err != nil && answered && ctx.Err() == nil:
			return nil
		case err != nil:
			return fmt.Errorf("await answers: %w", err)
		case add(data):
			return nil
		}
	}
}

// maxPatience bounds how long answers can be kept coming.
const maxPatience = 10

// nextAnswer waits for one answer: the first for as long as ctx lets it, later
// ones for patience.
func nextAnswer(ctx context.Context, sub *nats.Subscription, patience time.Duration, answered bool) ([]byte, error) {
	if answered {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == noResponders {
		return nil, nats.ErrNoResponders
	}
	return m.Data, nil
}

// noResponders is the status with which a server answers for nobody.
const noResponders = "503"

// learnMembers asks for the membership that some answers refer to.
func (c *Client) learnMembers() {
	defer c.done.Done()
	ctx, cancel := context.WithTimeout(c.run, c.opts.Retry)
	defer cancel()
	infos, err := c.Infos(ctx)
	if err != nil {
		c.opts.Logger.Debug("ask for membership", "err", err)
	}
	c.learn(infos)
	// Whoever names memberships that there are not does not have it asked all the time.
	select {
	case <-c.run.Done():
	case <-time.After(learnPause):
	}
	c.mu.Lock()
	c.learning = false
	c.mu.Unlock()
}

// learnPause is at least between two questions for the membership.
const learnPause = 50 * time.Millisecond
