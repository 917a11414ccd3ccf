package engine

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/wasmabi"
)

// trapTexts are the words of wazero v1.12.0 for its traps, the same in both
// engines. The types are internal to wazero, so that the words are all there is.
var trapTexts = map[string]wasmabi.Trap{
	"unreachable":                   wasmabi.Unreachable,
	"out of bounds memory access":   wasmabi.MemoryOutOfBounds,
	"invalid table access":          wasmabi.TableOutOfBounds,
	"indirect call type mismatch":   wasmabi.IndirectCallType,
	"integer divide by zero":        wasmabi.DivideByZero,
	"integer overflow":              wasmabi.IntegerOverflow,
	"invalid conversion to integer": wasmabi.InvalidConversion,
	"stack overflow":                wasmabi.StackOverflow,
}

// hostTrap ends a call from within a host function. wazero carries it out as
// the error of the call; it never closes the instance.
type hostTrap struct{ trap wasmabi.Trap }

func (t *hostTrap) Error() string { return t.trap.String() }

// Made once, so that a trap costs no allocation of ours.
var (
	trapExited         = &hostTrap{wasmabi.Exited}
	trapOutputTooLarge = &hostTrap{wasmabi.OutputTooLarge}
	trapHostArgument   = &hostTrap{wasmabi.HostArgument}
	trapMissingExport  = &hostTrap{wasmabi.MissingExport}
	trapTooManyEvents  = &hostTrap{wasmabi.TooManyEvents}
	trapTooManyTimers  = &hostTrap{wasmabi.TooManyTimers}
	// trapOutOfGas names no trap: what matters is that the counter is below zero.
	trapOutOfGas = &hostTrap{wasmabi.NoTrap}
)

// classify tells the trap that ended a call. An error that is neither a trap
// of the guest nor one of ours is a bug of this package or of wazero, and
// stopping beats diverging.
func classify(err error) wasmabi.Trap {
	cause := errors.Unwrap(err)
	if cause == nil {
		cause = err // the compiler's stack overflow comes unwrapped
	}
	if ours, ok := cause.(*hostTrap); ok { //nolint:errorlint // wazero wraps once; to search costs as much as the rest
		return ours.trap
	}
	if trap, ok := trapTexts[cause.Error()]; ok {
		return trap
	}
	if strings.HasPrefix(err.Error(), "wasm error: ") {
		return wasmabi.UnclassifiedTrap
	}
	panic(fmt.Sprintf("engine: call ended with no trap of a guest: %v", err))
}
