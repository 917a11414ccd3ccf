package jetstream

import (
	"context"

	"lockstep/ordering"
)

// Ask is how a reader asks the leader when no other server has an answer.
func (l *Log) Ask(ctx context.Context, from ordering.Seq) ([]ordering.Entry, bool, error) {
	return l.askOn(ctx, from)
}
