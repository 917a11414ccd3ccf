package client

import (
	"context"

	"lockstep/ordering"
)

// Event is what a guest emitted, as a majority of voters states it.
type Event struct {
	Seq   ordering.Seq // of the entry
	Index int          // among the events of its entry, from 0
	Data  []byte
}

// Subscription is a stream of events: ordered, each once, without a gap.
type Subscription struct{}

// Subscribe follows the guest's events from the entry at from on; 0 is the next
// one from now on. To resume after an event e, ask from e.Seq and leave out what
// was seen.
func (c *Client) Subscribe(ctx context.Context, from ordering.Seq) (*Subscription, error) {
	return nil, errNotBuilt
}

// Next waits for the next event. Errors: *EventsGoneError if the events that
// follow are kept no longer; ErrClosed; ctx's.
func (s *Subscription) Next(ctx context.Context) (Event, error) { return Event{}, errNotBuilt }

// Close ends the subscription.
func (s *Subscription) Close() error { return nil }
