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
	return m.broken(m.guest, m.config)
}

// invariantStream is the index of the stream that invariants draw from. No input has it.
const invariantStream = 1<<30 + 1

// broken asks a guest whose working state is the committed one.
func (m *Machine) broken(g Guest, config Config) (why string, log []byte) {
	o := g.Call(Call{Export: wasmabi.ExportInvariant, Seq: m.seq, Time: m.time, Random: randomOfInput(m.chain, invariantStream), Gas: config.QueryGas})
	g.Undo()
	switch {
	case o.Status == wasmabi.OK, o.Status == wasmabi.Trapped && o.Trap == wasmabi.MissingExport:
		return "", nil
	case o.Status == wasmabi.Rejected:
		return fmt.Sprintf("%.200s (code %d)", o.Output, o.Code), o.Log
	}
	return "it cannot be asked: " + describe(o), o.Log
}
