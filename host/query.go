package host

import "lockstep/wasmabi"

// Bounds of what one question makes a replica do before it goes on with the
// log. They end the question by what replicas compute alike, so that all of
// them end it at the same query.
const (
	questionGas   = 20_000_000
	questionBytes = 512 << 10
)

// Answer runs queries on the committed state, which they cannot change, as far
// as the bounds of one question let it, and at least one.
func (m *Machine) Answer(queries [][]byte, caller ClientID) Receipts {
	receipts := make(Receipts, 0, len(queries))
	var gas uint64
	var bytes int
	for i, input := range queries {
		r := m.Query(input, caller)
		r.Number = uint64(i + 1)
		gas, bytes = gas+r.Gas, bytes+len(r.Output)
		if i > 0 && bytes > questionBytes {
			break
		}
		receipts = append(receipts, r)
		if gas > questionGas {
			break
		}
	}
	return receipts
}

// Query answers a read from the committed state, which it cannot change.
func (m *Machine) Query(input []byte, caller ClientID) Receipt {
	if m.guest == nil {
		return refused(0, RefusedNotDeployed, "")
	}
	o := m.guest.Call(Call{
		Export: wasmabi.ExportQuery, Input: input, Seq: m.seq, Time: m.time, Caller: caller,
		Random: randomOfInput(m.chain, queryStream), Gas: m.config.QueryGas,
	})
	m.guest.Undo()
	return receiptOf(0, o)
}

// queryStream is the index of the stream that queries draw from. No input has it.
const queryStream = 1 << 30
