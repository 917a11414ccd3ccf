package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNoSystem says that servers cannot be forgotten without a login to their system account.
var ErrNoSystem = errors.New("that needs a login to the servers' system account")

// Servers asks the servers of the cluster who they are. It needs System.
func (c *Cluster) Servers(ctx context.Context) ([]string, error) {
	if c.System == nil {
		return nil, ErrNoSystem
	}
	return ping(ctx, c.System)
}

// Rescue removes servers that are gone for ever from those whose majority elects, though no majority is left:
// those that answer elect among themselves. It is ErrRuns if one of the servers answers. Logs of which a
// majority of the copies is gone may have lost entries; and servers that come back after all and are a majority of
// what was there would go on as if nothing had happened.
func (c *Cluster) Rescue(ctx context.Context, gone []string) error {
	if c.System == nil {
		return fmt.Errorf("forget servers %v: %w", gone, ErrNoSystem)
	}
	running, err := c.Servers(ctx)
	if err != nil {
		return fmt.Errorf("forget servers %v: %w", gone, err)
	}
	for _, s := range gone {
		if slices.Contains(running, s) {
			return fmt.Errorf("forget server %s: %w", s, ErrRuns)
		}
	}
	for _, s := range gone {
		c.step("forgetting server %s", s)
		err := c.poll(ctx, fmt.Sprintf("the servers to forget %s", s), func(ctx context.Context) (bool, error) {
			err := c.remove(ctx, s)
			if err == nil {
				return true, nil
			}
			return false, errors.Join(err, c.rescue(ctx, len(running)))
		})
		if err != nil {
			return fmt.Errorf("forget server %s: %w", s, err)
		}
	}
	return nil
}

// removeWait is how long the servers' leader may take to remove a server; without one nobody answers.
const removeWait = 2 * time.Second

func (c *Cluster) remove(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, removeWait)
	defer cancel()
	err := request(ctx, c.System, "$JS.API.SERVER.REMOVE", map[string]string{"peer": server})
	if failed := new(apiError); errors.As(err, &failed) && failed.Code == codeNotMember {
		return nil // it was never one, or is none any more
	}
	return err
}

// rescue lowers the number of servers that it takes to elect, for some minutes. Servers that follow a leader refuse.
func (c *Cluster) rescue(ctx context.Context, quorum int) error {
	data, err := json.Marshal(map[string]int{"quorum_needed": quorum})
	if err != nil {
		return err
	}
	inbox := c.System.NewRespInbox()
	sub, err := c.System.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := c.System.PublishRequest("$JS.API.META.RESCUE", inbox, data); err != nil {
		return err
	}
	var refused error
	for {
		try, cancel := context.WithTimeout(ctx, pingWait)
		m, err := sub.NextMsgWithContext(try)
		cancel()
		if err != nil {
			return refused // all have answered that do
		}
		refused = errors.Join(refused, refusal(m))
	}
}

func refusal(m *nats.Msg) error {
	var answer struct {
		Server string    `json:"server"`
		Error  *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("parse answer: %w", err)
	}
	if answer.Error != nil {
		return fmt.Errorf("server %s: %w", answer.Server, answer.Error)
	}
	return nil
}
