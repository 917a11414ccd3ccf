package host

import (
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
)

// Guest is one instance of a user's module: the only part of a machine's
// state that we did not write. It has a working state, which Call changes,
// and a committed one, which Commit and Undo reconcile.
//
// A Guest is used by one goroutine at a time. No method waits, reads a clock
// or depends on anything but its arguments and the state.
// The conformance suite is package guesttest.
type Guest interface {
	// Call runs one export on the working state. Unless the outcome's status
	// is OK, the working state is afterwards undefined until Undo.
	Call(Call) Outcome

	// Commit makes the working state the committed one and returns the indexes
	// of the pages whose committed bytes changed, or may have, ascending. The
	// slice is valid until the next call. A page that went away because the
	// memory shrank is not listed.
	Commit() []uint32

	// Undo makes the committed state the working one again: bytes, size of the
	// memory, globals and host counters.
	Undo()

	// Memory returns the committed memory, a multiple of 64 KiB. It is a view,
	// valid and unchanged until the next Commit or Patch.
	Memory() []byte

	// Globals returns a copy of the committed values that are not in memory:
	// the module's mutable globals and the host's own counters, in an order that
	// the module alone decides.
	Globals() []uint64

	// Patch changes the committed state, and the working one with it. Several
	// calls may build up one state; in between it means nothing.
	// An error (a size over the limit, an index outside the memory, another
	// number of globals) leaves the state undefined.
	Patch(snapshot.Delta) error

	// Close frees the memory. No method may be called afterwards.
	Close() error
}

// Call is one run of a guest's export and all that may influence it.
type Call struct {
	Export string        // one of wasmabi's Export names
	Input  []byte        // not kept
	Seq    ordering.Seq  // what the guest sees as seq
	Time   ordering.Time // what the guest sees as time; never less than in the call before
	Caller [32]byte      // what the guest sees as caller
	Random RandomKey     // of the random stream of this call
	Gas    uint64        // limit, > 0

	Untraced bool // a trap is not told in the log; changes nothing else
}

// Outcome is what a call did. Everything but Log is replicated.
type Outcome struct {
	Status wasmabi.Status
	Code   uint32       // what the guest returned, with OK (0) or Rejected
	Trap   wasmabi.Trap // with Trapped
	Gas    uint64       // used; with OutOfGas it equals the limit
	Output []byte       // what the guest wrote; empty unless OK or Rejected. The caller owns it
	Events [][]byte     // with OK, in order; at most wasmabi.MaxEvents. The caller owns them
	Timers []Timer      // with OK, what was set, in order; at most wasmabi.MaxTimers
	Log    []byte       // for the operator; bounded, not part of the state
}
