package ordering

import "context"

// Founding is the log of a next epoch while it is made: replicas put into it what comes from
// epochs before, and nobody else can append. Several may do so at once; what one has put, the
// others find.
type Founding interface {
	// State tells what is there already.
	State(ctx context.Context) (State, error)

	// Seed puts an entry at its own seq, with its epoch and time as they are. The position must be
	// the one after the last: ErrTaken if it is not, as when another was faster. An entry of the
	// log's own epoch, as the first of them is, gets its time from the sequencer.
	Seed(ctx context.Context, e Entry) error

	// Open lets clients append. The log is an ordinary one from then on.
	Open(ctx context.Context) error
}
