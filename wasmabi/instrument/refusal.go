package instrument

import (
	"fmt"
	"strings"
)

// Reason is why a module is refused.
type Reason uint8

// The reasons.
const (
	NotWasm        Reason = iota // it does not begin as a WebAssembly 1 module
	Malformed                    // it cannot be decoded
	Invalid                      // it decodes, and does not validate
	TooLarge                     // the whole of it
	TooMany                      // of something, see limits.go
	Forbidden                    // an instruction or a section that has no deterministic meaning here
	MissingExport                // the contract wants it
	WrongType                    // of an export or import that the contract knows
	UnknownImport                // no host function of that name
	ReservedExport               // a name that the instrumentation uses
	OutOfBounds                  // an active segment
	TooMuchMemory                // the memory begins larger than the machine's limit
)

var reasonNames = [...]string{
	NotWasm: "not a WebAssembly module", Malformed: "malformed", Invalid: "invalid", TooLarge: "too large",
	TooMany: "over a limit", Forbidden: "forbidden", MissingExport: "export is missing", WrongType: "wrong type",
	UnknownImport: "unknown import", ReservedExport: "reserved export name", OutOfBounds: "segment out of bounds",
	TooMuchMemory: "too much memory",
}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Refusal says why a module cannot be a guest, and where in it. It is the same
// on every host.
type Refusal struct {
	Reason Reason
	Func   int    // index of the function; -1 where it is not about one
	Name   string // of the function, if the module tells
	Offset int    // in the module, in bytes: of the instruction, or of what was read last
	Detail string
}

func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.Reason.String())
	if r.Detail != "" {
		b.WriteString(": " + r.Detail)
	}
	switch {
	case r.Func >= 0 && r.Name != "":
		fmt.Fprintf(&b, " (function %d %q, offset %#x)", r.Func, r.Name, r.Offset)
	case r.Func >= 0:
		fmt.Fprintf(&b, " (function %d, offset %#x)", r.Func, r.Offset)
	case r.Offset > 0:
		fmt.Fprintf(&b, " (offset %#x)", r.Offset)
	}
	return b.String()
}
