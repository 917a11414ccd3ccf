package host

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"

	"lockstep/wasmabi"
)

// runner runs the inputs of one entry so that one that fails leaves no trace.
//
// Inputs run on the working state without a commit in between, which is what
// most entries need. The first failure undoes to the last commit and runs the
// good inputs since then again; from there on each good input is committed by
// itself. So an entry runs each input at most twice, however many fail.
type runner struct {
	m       *Machine
	caller  ClientID
	pending []pendingInput // ran since the last commit, all ok
	careful bool
	log     []byte
}

type pendingInput struct {
	call Call
	gas  uint64
}

// maxEntryLog bounds what one entry's inputs log together.
const maxEntryLog = 64 << 10

// input runs one input and returns its receipt.
func (r *runner) input(index uint32, in Input) Receipt {
	m := r.m
	if m.guest == nil {
		return refused(in.Number, RefusedNotDeployed, "")
	}
	call := Call{
		Export: wasmabi.ExportApply, Input: in.Payload, Seq: m.seq, Time: m.time, Caller: r.caller,
		Random: m.random(index), Gas: m.config.InputGas,
	}
	o := m.guest.Call(call)
	r.keepLog(o.Log)
	if o.Status != wasmabi.OK {
		r.undo()
		return receiptOf(in.Number, o)
	}
	r.pending = append(r.pending, pendingInput{call, o.Gas})
	if r.careful {
		r.finish()
	}
	return receiptOf(in.Number, o)
}

// undo takes back the input that just failed and keeps those before it.
func (r *runner) undo() {
	r.m.guest.Undo()
	for _, p := range r.pending {
		if o := r.m.guest.Call(p.call); o.Status != wasmabi.OK || o.Gas != p.gas {
			// Determinism is broken: stopping beats diverging.
			panic(fmt.Sprintf("input ran again ended %v with %d gas, first ok with %d", o.Status, o.Gas, p.gas))
		}
	}
	r.finish()
	r.careful = true
}

// finish commits what ran.
func (r *runner) finish() {
	if len(r.pending) > 0 {
		r.m.commit()
		r.pending = r.pending[:0]
	}
}

func (r *runner) keepLog(line []byte) {
	if room := maxEntryLog - len(r.log); len(line) > room {
		line = line[:room]
	}
	r.log = append(r.log, line...)
}

// random is the key of the stream that the input at an index of the last entry
// draws from: a function of everything ordered so far, known to nobody before.
func (m *Machine) random(index uint32) [32]byte {
	const domain = "lockstep random v1\x00"
	b := append([]byte(domain), m.chain[:]...)
	return blake3.Sum256(binary.BigEndian.AppendUint32(b, index))
}
