package client

import (
	"errors"
	"fmt"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// ErrUnknownMachine says that no node that can be reached hosts the machine.
var ErrUnknownMachine = errors.New("no node hosts this machine: check its name, or deploy it first")

// ErrOutOfGas says that the input or the query used all the gas it may. Nothing of it was kept.
var ErrOutOfGas = errors.New("out of gas: nothing of it was kept")

// ErrClosed is returned by calls on a closed client.
var ErrClosed = errors.New("client is closed")

// ErrBusy is returned where too many of this client's calls or queries wait
// already; nothing was sent.
var ErrBusy = errors.New("too many calls wait to be sent")

// ErrReplicasBusy says that replicas refused to run a query, since too many wait
// there.
var ErrReplicasBusy = errors.New("replicas are too busy to run the query")

// RejectedError says that the guest itself refused the input. Nothing of it
// was kept; Output is what the guest says about it.
type RejectedError struct {
	Code   uint32
	Output []byte
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("guest rejected the input with code %d: %.200q", e.Code, e.Output)
}

// TrapError says that the guest trapped. Nothing of the input was kept.
type TrapError struct{ Trap wasmabi.Trap }

func (e *TrapError) Error() string { return "guest trapped: " + e.Trap.String() }

// RefusedError says that the replicas did not run the input.
type RefusedError struct {
	Refusal host.Refusal
	Detail  string
}

func (e *RefusedError) Error() string {
	if e.Detail == "" {
		return e.Refusal.String()
	}
	return e.Refusal.String() + ": " + e.Detail
}

// FailError is the answer FAIL: no majority of voters stated one output in
// time. Unless Fate is Unsent, the input may have been applied, or may be
// applied later; a caller that needs to know asks the machine.
type FailError struct {
	Fate Fate
	Seq  ordering.Seq // where, if Ordered
	Err  error        // the context's error, or what made an answer impossible
}

// Fate is what is known of an input that has no answer.
type Fate uint8

// The fates.
const (
	Unsent       Fate = iota // certainly not ordered. Also that of a query
	MaybeOrdered             // sent, and not acknowledged by the log
	Ordered                  // acknowledged by the log
)

func (e *FailError) Error() string {
	switch e.Fate {
	case Ordered:
		return fmt.Sprintf("FAIL: ordered at seq %d, but no majority of voters answered alike: %v", e.Seq, e.Err)
	case MaybeOrdered:
		return fmt.Sprintf("FAIL: sent, and not known to be ordered: %v", e.Err)
	}
	return fmt.Sprintf("FAIL: not ordered: %v", e.Err)
}

func (e *FailError) Unwrap() error { return e.Err }

// outcome turns a receipt that a majority agrees on into what the caller gets.
func outcome(r host.Receipt) error {
	switch r.Status {
	case wasmabi.OK:
		return nil
	case wasmabi.Rejected:
		return &RejectedError{Code: r.Code, Output: r.Output}
	case wasmabi.Trapped:
		return &TrapError{Trap: r.Trap}
	case wasmabi.OutOfGas:
		return ErrOutOfGas
	case wasmabi.Refused:
		return &RefusedError{Refusal: host.Refusal(r.Code), Detail: string(r.Output)}
	}
	return fmt.Errorf("receipt has unknown %v", r.Status)
}
