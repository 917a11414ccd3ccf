package host

import (
	"encoding/binary"
	"fmt"

	"lockstep/wasmabi"
)

// runner runs the timers or the inputs of one entry so that one that fails
// leaves no trace.
//
// Calls run on the working state without a commit in between, which is what
// most entries need. A failure undoes to the last commit, runs the good calls since
// then again, and commits them. So an entry runs each call at most twice, however
// many fail: a good one once more, and a failed one never again.
type runner struct {
	m      *Machine
	t      *Transition
	caller ClientID
	traces int // traps told in the log

	failures int
	unwatch  func() // nil while the guest is not watched
}

// pendingCall is one that ran since the last commit, and was ok.
type pendingCall struct {
	call Call
	gas  uint64
}

// maxEntryLog bounds what one entry's calls log together, maxTraces the traps that it
// tells: to name the functions of a trap costs as much as an input that succeeds.
const (
	maxEntryLog = 64 << 10
	maxTraces   = 16
)

// input runs one input and returns its receipt.
func (r *runner) input(index uint32, in Input) Receipt {
	m := r.m
	if m.guest == nil {
		return refused(in.Number, RefusedNotDeployed, "")
	}
	o := r.call(Call{
		Export: wasmabi.ExportApply, Input: in.Payload, Seq: m.seq, Time: m.time, Caller: r.caller,
		Random: randomOfInput(m.chain, index), Gas: m.config.InputGas,
	})
	if o.Status == wasmabi.OK {
		m.takeEffects(r.t, o, EventOfInput, int64(index))
	}
	return receiptOf(in.Number, o)
}

// timer runs a timer that is no longer pending. One that fails is gone all the
// same, since it would fail for ever.
func (r *runner) timer(due Timer) {
	m := r.m
	o := r.call(Call{
		Export: wasmabi.ExportTimer, Input: binary.LittleEndian.AppendUint64(nil, uint64(due.ID)), Seq: m.seq, Time: m.time,
		Random: randomOfTimer(m.chain, due.ID), Gas: m.config.InputGas,
	})
	if o.Status == wasmabi.OK {
		m.takeEffects(r.t, o, EventOfTimer, due.ID)
	} else {
		r.keepLog(fmt.Appendf(nil, "timer %d, due at %d, failed and is gone: %s\n", due.ID, due.At, describe(o)))
	}
	r.t.Timers = append(r.t.Timers, TimerRun{Timer: due, Receipt: receiptOf(0, o)})
}

// call runs one call and keeps or undoes what it did.
func (r *runner) call(c Call) Outcome {
	c.Untraced = r.traces >= maxTraces
	o := r.m.bounded(r.m.guest.Call(c))
	r.keepLog(o.Log)
	r.countTrace(o.Status)
	if o.Status != wasmabi.OK {
		r.undo()
		return o
	}
	r.m.pending = append(r.m.pending, pendingCall{c, o.Gas})
	return o
}

// countTrace says so once, when traps from here on are not told.
func (r *runner) countTrace(s wasmabi.Status) {
	if s != wasmabi.Trapped && s != wasmabi.OutOfGas {
		return
	}
	if r.traces++; r.traces == maxTraces {
		r.keepLog([]byte("no more traps of this entry are told here; each has its receipt\n"))
	}
}

// bounded makes an outcome that asks for more timers than there may be a trap.
func (m *Machine) bounded(o Outcome) Outcome {
	if o.Status == wasmabi.OK && !m.timers.fits(o.Timers) {
		return Outcome{Status: wasmabi.Trapped, Trap: wasmabi.TooManyTimers, Gas: o.Gas, Log: o.Log}
	}
	return o
}

// undo takes back the call that just failed and keeps those before it.
func (r *runner) undo() {
	if r.failures++; r.failures == watchedFailure {
		r.watch()
	}
	r.m.guest.Undo()
	for _, p := range r.m.pending {
		if o := r.m.guest.Call(p.call); o.Status != wasmabi.OK || o.Gas != p.gas {
			// Determinism is broken: stopping beats diverging.
			panic(fmt.Sprintf("call ran again ended %v with %d gas, first ok with %d", o.Status, o.Gas, p.gas))
		}
	}
	r.commit()
}

// watchedFailure is the one from which on the guest is watched, as far as the engine can: what that costs pays off with the next.
const watchedFailure = 2

func (r *runner) watch() {
	if g, ok := r.m.guest.(interface{ Watch() (stop func()) }); ok {
		r.unwatch = g.Watch()
	}
}

// finish ends the entry.
func (r *runner) finish() {
	r.commit()
	if r.unwatch != nil {
		r.unwatch()
	}
}

// commit commits what ran.
func (r *runner) commit() {
	if len(r.m.pending) > 0 {
		r.m.commit()
		clear(r.m.pending) // of payloads
		r.m.pending = r.m.pending[:0]
	}
}

func (r *runner) keepLog(line []byte) {
	if room := maxEntryLog - len(r.t.Log); len(line) > room {
		line = line[:max(room, 0)]
	}
	r.t.Log = append(r.t.Log, line...)
}
