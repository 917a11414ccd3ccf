package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/host"
	"lockstep/ordering"
)

// infoPatience is how long replicas that are slow to answer are waited for
// once some have answered.
const infoPatience = 100 * time.Millisecond

// Infos asks every replica of the machine about itself and returns what
// arrives in time. What they say is each one's own word.
func (c *Client) Infos(ctx context.Context) ([]host.Info, error) {
	var infos []host.Info
	err := gather(ctx, c.conn, host.InfoSubject(c.opts.Machine), nil, infoPatience, func(data []byte) bool {
		var in host.Info
		if err := host.InfoFormat.Decode(data, &in); err == nil && in.Machine == c.opts.Machine {
			infos = append(infos, in)
		}
		return false
	})
	return infos, err
}

// gather sends a request that many answer. It hands answers to add until add
// returns true, ctx ends, or nothing came for patience after the first answer.
// It returns ErrUnknownMachine if nobody listens.
func gather(ctx context.Context, conn *nats.Conn, subject string, request []byte, patience time.Duration, add func([]byte) bool) error {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := conn.PublishRequest(subject, inbox, request); err != nil {
		return fmt.Errorf("publish request: %w", err)
	}
	wait, cancel := context.WithCancel(ctx)
	defer func() { cancel() }()
	for answered := false; ; answered = true {
		if answered {
			cancel()
			wait, cancel = context.WithTimeout(ctx, patience)
		}
		m, err := sub.NextMsgWithContext(wait)
		switch {
		case err != nil && answered:
			return nil
		case errors.Is(err, nats.ErrNoResponders):
			return ErrUnknownMachine
		case err != nil:
			return fmt.Errorf("await answers: %w", err)
		}
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			return ErrUnknownMachine
		}
		if add(m.Data) {
			return nil
		}
	}
}

// learnMembers asks for the membership that some answers refer to.
func (c *Client) learnMembers() {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Retry)
	defer cancel()
	infos, err := c.Infos(ctx)
	if err != nil {
		c.opts.Logger.Debug("ask for membership", "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learning = false
	if m, ok := c.filter.learn(infos); ok {
		for _, v := range c.filter.trust(m) {
			c.settle(v)
		}
	}
}

// reached returns a seq that most of those who answered say the log had
// reached, so that one liar cannot raise it.
func reached(infos []host.Info) ordering.Seq {
	if len(infos) == 0 {
		return 0
	}
	seqs := make([]ordering.Seq, 0, len(infos))
	for _, in := range infos {
		seqs = append(seqs, in.Seq)
	}
	slices.Sort(seqs)
	return seqs[(len(seqs)-1)/2]
}
