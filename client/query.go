package client

import (
	"context"
	"errors"

	"lockstep/ordering"
)

// Mode says how sure a read is.
type Mode uint8

// The modes, the default first.
const (
	// Linearizable sees every input that was answered, to whomever, before the
	// read began, and no later read sees less. One replica runs the query; that
	// it is not behind, and on the same log as a majority, a majority confirms.
	Linearizable Mode = iota
	// Stale is what one replica says from the state that it has, at once.
	Stale
	// Voted is linearizable, and a majority of voters has run the query at the
	// same seq with the same output.
	Voted
)

var errNotBuilt = errors.New("not built yet")

// Query asks the guest's lockstep_query. Whatever it changes is undone. Nothing
// is put into the log. Errors are those of Call; Output.Seq is the entry after
// which the query ran.
func (c *Client) Query(ctx context.Context, input []byte, mode Mode) (Output, error) {
	return c.QueryFrom(ctx, input, mode, 0)
}

// QueryFrom is a Query of a state that holds the entry at from: with the
// Output.Seq of a call it reads what that call wrote, in every mode.
func (c *Client) QueryFrom(ctx context.Context, input []byte, mode Mode, from ordering.Seq) (Output, error) {
	return Output{}, errNotBuilt
}
