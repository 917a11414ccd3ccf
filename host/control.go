package host

import (
	"fmt"

	"lockstep/audit"
	"lockstep/wasmabi"
)

// control runs a control input, with the guest that arrived for it if it
// names a module.
func (m *Machine) control(c Control, arrived *arrival, t *Transition) *Reply {
	defer arrived.leave()
	window, ok := m.sessions.open(c.Session, m.seq)
	if !ok {
		return m.reply(c.Session, Receipts{refused(c.Number, RefusedSessionExpired, "")})
	}
	r, known := window.lookup(c.Number)
	if !known {
		r = m.execute(c, arrived, t)
		r.Number = c.Number
		if applied(r) {
			m.sessions.remember(window, r)
		}
	}
	return m.reply(c.Session, Receipts{r})
}

func (m *Machine) execute(c Control, arrived *arrival, t *Transition) Receipt {
	switch {
	case c.Kind == ControlDeploy && m.deployed:
		return refused(c.Number, RefusedDeployed, "")
	case c.Kind != ControlDeploy && !m.deployed:
		return refused(c.Number, RefusedNotDeployed, "")
	}
	switch c.Kind {
	case ControlCheckpoint:
		t.checkpoint = true
		return Receipt{}
	case ControlJoin:
		var body Join
		if err := JoinFormat.Decode(c.Body, &body); err != nil {
			return refused(c.Number, RefusedMalformed, err.Error())
		}
		next, err := join(m.members, body.Member, m.seq)
		return m.changeMembers(next, err, t)
	case ControlQuit:
		var body Quit
		if err := QuitFormat.Decode(c.Body, &body); err != nil {
			return refused(c.Number, RefusedMalformed, err.Error())
		}
		next, err := quit(m.members, body.Replica, m.seq)
		return m.changeMembers(next, err, t)
	case ControlDeploy:
		return m.deploy(arrived, t)
	case ControlUpgrade:
		return m.upgrade(arrived, t)
	}
	return refused(c.Number, RefusedMalformed, fmt.Sprintf("unknown %v", c.Kind))
}

func (m *Machine) changeMembers(next audit.Members, err error, t *Transition) Receipt {
	if err != nil {
		return refused(0, RefusedMember, err.Error())
	}
	if next.Seq != m.members.Seq {
		m.members, t.Members = next, &next
	}
	return Receipt{}
}

// deploy makes the guest, by lockstep_init or from another machine's checkpoint,
// and the first membership, and a checkpoint, so that there is one from the
// beginning.
func (m *Machine) deploy(a *arrival, t *Transition) Receipt {
	if a.guest == nil {
		return a.refusal
	}
	var o Outcome
	if a.origin != nil {
		m.settle(a.origin)
	} else {
		o = m.bounded(a.guest.Call(m.lifecycle(Call{Export: wasmabi.ExportInit}, a.config)))
	}
	t.Log = append(t.Log, o.Log...)
	if o.Status != wasmabi.OK {
		return receiptOf(0, o)
	}
	if a.origin == nil {
		a.guest.Commit()
		if asked := m.askInvariant(a.guest, a.config); forbids(asked) {
			t.Log = append(t.Log, asked.Log...)
			return refused(0, RefusedModule, "its invariant does not hold after init: "+complaint(asked))
		}
	}
	m.deployed, m.config, m.members = true, a.config, a.members
	m.adoptGuest(a)
	m.takeEffects(t, o, EventOfControl, 0)
	t.Members, t.Upgraded, t.checkpoint = &a.members, &a.module, true
	return receiptOf(0, o)
}

// upgrade hands the state from the old guest to the new one as bytes; timers
// stay pending. Where either fails, or the new guest's invariant does not hold
// where the old one's did, the old one goes on as if nothing had been asked. One
// that is broken already holds up no upgrade: that may be its repair, or the way back.
func (m *Machine) upgrade(a *arrival, t *Transition) Receipt {
	if a.guest == nil {
		return a.refusal
	}
	before := m.askInvariant(m.guest, m.config)
	saved := m.guest.Call(m.lifecycle(Call{Export: wasmabi.ExportSave}, m.config))
	m.guest.Undo()
	if saved.Status != wasmabi.OK {
		return refused(0, RefusedUpgrade, "old guest did not save: "+describe(saved))
	}
	o := m.bounded(a.guest.Call(m.lifecycle(Call{Export: wasmabi.ExportLoad, Input: saved.Output}, m.config)))
	t.Log = append(t.Log, o.Log...)
	if o.Status != wasmabi.OK {
		return refused(0, RefusedUpgrade, "new guest did not load: "+describe(o))
	}
	a.guest.Commit()
	if asked := m.askInvariant(a.guest, m.config); forbids(asked) && !forbids(before) {
		t.Log = append(t.Log, asked.Log...)
		return refused(0, RefusedUpgrade, "new guest's invariant does not hold: "+complaint(asked))
	}
	closeGuest(m.guest)
	m.adoptGuest(a)
	m.takeEffects(t, o, EventOfControl, 0)
	t.Upgraded = &a.module
	return receiptOf(0, o)
}

// lifecycle completes a call that the host makes of its own accord.
func (m *Machine) lifecycle(c Call, config Config) Call {
	c.Seq, c.Time, c.Random, c.Gas = m.seq, m.time, randomOfInput(m.chain, 0), config.LifecycleGas
	return c
}

// adoptGuest takes the arrived guest, whose first call went well.
func (m *Machine) adoptGuest(a *arrival) {
	m.guest, m.module = a.guest, a.module
	a.guest = nil
	m.guest.Commit()
	m.forgetTree()
}

func describe(o Outcome) string {
	switch o.Status {
	case wasmabi.Trapped:
		return o.Status.String() + ": " + o.Trap.String()
	case wasmabi.Rejected:
		return fmt.Sprintf("%v with code %d: %.200q", o.Status, o.Code, o.Output)
	}
	return o.Status.String()
}
