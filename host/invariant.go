package host

import (
	"fmt"

	"lockstep/wasmabi"
)

// Invariant asks the guest whether its committed state is as it must always be,
// which cannot change it. why is empty if it is, or if the guest has no invariant;
// it follows from the state alone, so that all replicas say the same. log is
// what the guest wrote meanwhile.
//
// Whoever runs machines asks at audits. What it says changes no outcome, but
// that DEPLOY and UPGRADE refuse to break it.
func (m *Machine) Invariant() (why string, log []byte) {
	if m.guest == nil {
		return "", nil
	}
	o := m.askInvariant(m.guest, m.config)
	if why = complaint(o); why != "" {
		log = o.Log
	}
	return why, log
}

// invariantStream is the index of the stream that invariants draw from. No input has it.
const invariantStream = 1<<30 + 1

// askInvariant asks a guest whose working state is the committed one.
func (m *Machine) askInvariant(g Guest, config Config) Outcome {
	o := g.Call(Call{Export: wasmabi.ExportInvariant, Seq: m.seq, Time: m.time, Random: randomOfInput(m.chain, invariantStream), Gas: config.QueryGas})
	g.Undo()
	return o
}

// complaint says what is wrong with a state by its invariant, if anything.
func complaint(o Outcome) string {
	switch {
	case o.Status == wasmabi.OK, o.Status == wasmabi.Trapped && o.Trap == wasmabi.MissingExport:
		return ""
	case o.Status == wasmabi.Rejected:
		return fmt.Sprintf("%.200s (code %d)", o.Output, o.Code)
	}
	return "it cannot be asked: " + describe(o)
}

// forbids tells whether an invariant forbids a state. Too little gas to ask says nothing of the state.
func forbids(o Outcome) bool { return o.Status != wasmabi.OutOfGas && complaint(o) != "" }
