package engine

import (
	"fmt"
	"runtime"
)

// Kind is how guests run. Replicas of different kinds agree on everything.
type Kind uint8

// The kinds.
const (
	Auto        Kind = iota // the compiler where its machine code is known to be right, else the interpreter
	Compiler                // machine code
	Interpreter             // 25 to 75 times slower, on any CPU
)

func (k Kind) String() string {
	switch k {
	case Auto:
		return "auto"
	case Compiler:
		return "compiler"
	case Interpreter:
		return "interpreter"
	}
	return fmt.Sprintf("engine kind %d", uint8(k))
}

// ParseKind is the inverse of String.
func ParseKind(name string) (Kind, error) {
	for k := Auto; k <= Interpreter; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("engine is %q: want auto, compiler or interpreter", name)
}

// Resolve is what Auto stands for on this machine; other kinds stand for themselves.
func (k Kind) Resolve() Kind { return k.resolve(runtime.GOARCH) }

// resolve decides for a CPU. wazero compiles for amd64 and arm64 alone, and what it makes for arm64 has
// a bug that the rewriting of guests does not get round: docs/engine-bugs.md, 3.
func (k Kind) resolve(arch string) Kind {
	switch {
	case k != Auto:
		return k
	case arch == "amd64":
		return Compiler
	}
	return Interpreter
}

// Warning says what is wrong with running guests so on this machine; empty if nothing is known to be.
func (k Kind) Warning() string { return k.warning(runtime.GOARCH) }

func (k Kind) warning(arch string) string {
	if k.resolve(arch) != Compiler || arch != "arm64" {
		return ""
	}
	return "wazero's compiler may give wrong remainders on arm64 (wazero issue 2508, docs/engine-bugs.md 3): this replica may diverge, use auto or interpreter"
}
