// Package ordering is the order of inputs: positions, entries, the chain over
// them, and the Log seam that a sequencer implements.
//
// A Log gives every reader the same entries in the same order. It is trusted
// to order and not to keep: the chain lets replicas notice when it told two of
// them different things, and what is final is decided by a majority of them.
package ordering

import (
	"context"
	"errors"
	"fmt"
)

// Log is one machine's log in one epoch. All methods may be called
// concurrently, save that a reader's Read calls follow one another.
//
// The conformance suite is package orderingtest.
type Log interface {
	// Append orders data and returns its position once the sequencer has
	// acknowledged it. On an error the data may or may not have been ordered;
	// appending it again may order it twice. Data is not kept after return.
	// ErrTooLarge, ErrFull and ErrClosed are answered before anything is sent
	// or as the sequencer says so.
	Append(ctx context.Context, data []byte) (Seq, error)

	// Read returns entries from position from on: at least one, contiguous,
	// each as the sequencer committed it. It waits until there is one, or ctx
	// ends. It never skips a position: where it cannot have the entry at from,
	// it returns ErrTruncated (entries before First were dropped on purpose)
	// or keeps trying until ctx ends. A position that was acknowledged and is
	// gone, or a log that was created anew, gives a *BreakError.
	// The caller owns what is returned.
	Read(ctx context.Context, from Seq) ([]Entry, error)

	// Resume tells what the reader had read last before this handle was opened, so
	// that Read of the position after it checks that the log still has that very
	// entry, as if this handle had read it. It is called before the first Read.
	Resume(last Entry)

	// State tells the bounds of the log as the sequencer's leader knows them.
	State(ctx context.Context) (State, error)

	// Truncate drops entries before first, but never the newest one, whatever
	// first is. Dropping what is gone is no error.
	Truncate(ctx context.Context, first Seq) error

	// Close ends reads and appends with ErrClosed. It drops nothing.
	Close() error
}

// State is the bounds of a log. An empty log has Last = First-1.
type State struct {
	Epoch Epoch
	First Seq // oldest position that is still there, or the next one if none is
	Last  Seq // newest position
	Bytes uint64
	// MaxBytes bounds Bytes: an entry that would exceed it gets ErrFull. 0 is no bound.
	MaxBytes uint64
	// Founding says that only those who make the log can append as yet; see Founding.Open.
	Founding bool
}

// Errors that callers branch on.
var (
	ErrClosed    = errors.New("log is closed")
	ErrTooLarge  = fmt.Errorf("entry is larger than %d bytes", MaxEntry)
	ErrFull      = errors.New("log is full")
	ErrTruncated = errors.New("entry was dropped behind a checkpoint")
	ErrNotFound  = errors.New("log does not exist")
	ErrTaken     = errors.New("position is taken already") // see Founding
)

// BreakError says that the log is not the one that was read before: a
// position is gone, was rewritten, or the log was created anew.
type BreakError struct {
	Epoch  Epoch
	Seq    Seq
	Reason string
	// Hole says that the entry at Seq is missing although later ones are there. With that
	// entry from elsewhere, a new handle can go on after it.
	Hole bool
}

func (e *BreakError) Error() string {
	return fmt.Sprintf("log of epoch %d is broken at seq %d: %s", e.Epoch, e.Seq, e.Reason)
}
