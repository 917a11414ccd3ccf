package wasmabi

import "fmt"

// Status says how an input ended. It is replicated and hashed, so that it is
// ours and never an engine's error text.
type Status uint8

// The statuses. Values are part of the wire format; never renumber.
const (
	OK       Status = 0 // applied; the guest returned 0
	Rejected Status = 1 // the guest returned a code other than 0; no change is kept
	Trapped  Status = 2 // the guest trapped, see Trap; no change is kept
	OutOfGas Status = 3 // the guest used its gas; no change is kept
	Refused  Status = 4 // the host did not run it, see Code; no change is kept
)

func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Rejected:
		return "rejected"
	case Trapped:
		return "trapped"
	case OutOfGas:
		return "out of gas"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Trap says why a guest trapped.
type Trap uint32

// The traps. Values are part of the wire format; never renumber.
const (
	NoTrap            Trap = 0
	Unreachable       Trap = 1  // the unreachable instruction, which is also how most languages panic
	MemoryOutOfBounds Trap = 2  // a load, store or bulk operation outside the memory
	TableOutOfBounds  Trap = 3  // call_indirect outside the table or of an empty entry
	IndirectCallType  Trap = 4  // call_indirect of a function of another type
	DivideByZero      Trap = 5  // integer division or remainder by zero
	IntegerOverflow   Trap = 6  // integer division overflow, or a float too large for its integer
	InvalidConversion Trap = 7  // conversion of NaN to an integer
	StackOverflow     Trap = 8  // calls nested deeper than the limit
	Exited            Trap = 9  // WASI proc_exit
	OutputTooLarge    Trap = 10 // more output than MaxOutput (or MaxState, in lockstep_save)
	HostArgument      Trap = 11 // a host function was given a pointer or length outside the memory
	MissingExport     Trap = 12 // the guest does not export the function that was asked for
	UnclassifiedTrap  Trap = 13 // a trap that the engine gives no known name; never expected
	TooManyEvents     Trap = 14 // more than MaxEvents or MaxEventBytes
	TooManyTimers     Trap = 15 // more than MaxTimers
)

var trapNames = [...]string{
	NoTrap: "no trap", Unreachable: "unreachable", MemoryOutOfBounds: "memory access out of bounds",
	TableOutOfBounds: "table access out of bounds", IndirectCallType: "indirect call type mismatch",
	DivideByZero: "integer divide by zero", IntegerOverflow: "integer overflow",
	InvalidConversion: "invalid conversion to integer", StackOverflow: "stack overflow",
	Exited: "exit called", OutputTooLarge: "output too large", HostArgument: "host function argument out of bounds",
	MissingExport: "function not exported", UnclassifiedTrap: "unclassified trap",
	TooManyEvents: "too many events", TooManyTimers: "too many timers",
}

func (t Trap) String() string {
	if int(t) < len(trapNames) {
		return trapNames[t]
	}
	return fmt.Sprintf("trap %d", uint32(t))
}
