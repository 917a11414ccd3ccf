package hosttest

import (
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi/instrument"
)

// Deployed is what the deployment did: its gas, log, and the events of
// lockstep_init.
func (m *Machine) Deployed() Result { return m.deployed }

// Apply has the guest run one input, as an entry of its own.
func (m *Machine) Apply(input []byte) Result { return m.ApplyAs(m.opts.Caller, input)[0] }

// ApplyAs has the guest run inputs of one client, all in one entry: they see
// the same seq and time.
func (m *Machine) ApplyAs(caller host.ClientID, inputs ...[]byte) []Result {
	b := host.Batch{Session: host.Session{Client: caller, Opened: m.machine.Seq(), Floor: m.numbers[caller] + 1}}
	for _, in := range inputs {
		m.numbers[caller]++
		b.Inputs = append(b.Inputs, host.Input{Number: m.numbers[caller], Payload: in})
	}
	t, broken := m.order(b.Encode())
	results := make([]Result, 0, len(inputs))
	for i, r := range receipts(t) {
		results = append(results, Result{Receipt: r, Events: events(t, host.EventOfInput, int64(i)), Log: string(t.Log), Broken: broken})
	}
	return results
}

// Speak makes Apply and Query speak for another client.
func (m *Machine) Speak(caller host.ClientID) { m.opts.Caller = caller }

// Query asks the guest, which cannot change its state by it.
func (m *Machine) Query(input []byte) Result {
	return Result{Receipt: m.machine.Query(input, m.opts.Caller)}
}

// maxAdvance bounds the entries of one Advance, for a guest that sets a timer
// for now each time it runs.
const maxAdvance = 10_000

// Advance moves ordered time on. Timers run as they fall due on the way, at
// their time, but with at most 10,000 entries. The results are those of all
// timers that ran since the last Advance, in order: some may have run with an input.
func (m *Machine) Advance(by time.Duration) []Result {
	end := m.now + ordering.Time(by)
	for range maxAdvance {
		at, ok := m.machine.NextTimer()
		if !ok || at > end {
			break
		}
		m.now = max(m.now, at)
		m.order(host.Tick{At: at}.Encode())
	}
	m.now = end
	ran := m.ran
	m.ran = nil
	return ran
}

// Upgrade replaces the guest; where either guest fails to hand over the state
// the result is refused and the old one goes on.
func (m *Machine) Upgrade(wasm []byte) Result {
	module, holders := m.hold(wasm)
	return m.control(host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: module, Holders: holders}))
}

// Snapshot is the whole state of a machine.
type Snapshot struct {
	manifest snapshot.Manifest
	pages    []snapshot.Page
	now      ordering.Time
	numbers  map[host.ClientID]uint64
}

// Snapshot copies the state.
func (m *Machine) Snapshot() Snapshot {
	s := Snapshot{manifest: m.machine.Manifest(), now: m.now, numbers: make(map[host.ClientID]uint64)}
	for c, n := range m.numbers {
		s.numbers[c] = n
	}
	memory := m.machine.Memory()
	for i := 0; i < len(memory); i += snapshot.PageSize {
		page := append([]byte(nil), memory[i:i+snapshot.PageSize]...)
		s.pages = append(s.pages, snapshot.Page{Index: uint32(i / snapshot.PageSize), Data: page})
	}
	return s
}

// Restore brings the machine to a state that it, or another machine of the same
// guest, had. The guest is a new instance, so that nothing but what a replica
// would get by a transfer is left of the old one.
func (m *Machine) Restore(s Snapshot) {
	next := host.New(machineName, instrument.Profile, m.load)
	_, err := next.Adopt(s.manifest)
	must(err)
	must(next.Patch(snapshot.Delta{Size: s.manifest.Size, Pages: s.pages}))
	if got, want := next.Root(), s.manifest.Root(); got != want {
		panic(fmt.Sprintf("hosttest: restored root is %v, want %v", got, want))
	}
	m.machine.Close()
	m.machine, m.now, m.numbers = next, s.now, make(map[host.ClientID]uint64)
	for c, n := range s.numbers {
		m.numbers[c] = n
	}
}

// Reload restores the machine's own state.
func (m *Machine) Reload() { m.Restore(m.Snapshot()) }

// Root is the digest of the whole state.
func (m *Machine) Root() audit.Digest { return m.machine.Root() }

// Memory is the guest's committed memory, valid until the next call.
func (m *Machine) Memory() []byte { return m.machine.Memory() }

// Now is ordered time.
func (m *Machine) Now() time.Time { return time.Unix(0, int64(max(m.now, m.machine.Time()))).UTC() }

// Seq is the number of entries so far.
func (m *Machine) Seq() uint64 { return uint64(m.machine.Seq()) }

// NextTimer is when the next timer is due; ok is false if none is pending.
func (m *Machine) NextTimer() (at time.Time, ok bool) {
	next, ok := m.machine.NextTimer()
	return time.Unix(0, int64(next)).UTC(), ok
}

// control orders a control input.
func (m *Machine) control(kind host.ControlKind, body []byte) Result {
	operator := host.ClientID{0: 0xff}
	m.numbers[operator]++
	t, broken := m.order(host.Control{
		Session: host.Session{Client: operator, Opened: m.machine.Seq()}, Number: m.numbers[operator], Kind: kind, Body: body,
	}.Encode())
	return Result{Receipt: receipts(t)[0], Events: events(t, host.EventOfControl, 0), Log: string(t.Log), Broken: broken}
}

// order applies data as the next entry, and asks for the guest's invariant after it.
func (m *Machine) order(data []byte) (t *host.Transition, broken string) {
	t, err := m.machine.Apply(ordering.Entry{Epoch: 1, Seq: m.machine.Seq() + 1, Time: m.now, Data: data})
	must(err)
	broken, log := m.machine.Invariant()
	t.Log = append(t.Log, log...)
	for _, run := range t.Timers {
		m.ran = append(m.ran, Result{
			Receipt: run.Receipt, Timer: run.Timer.ID, Events: events(t, host.EventOfTimer, run.Timer.ID), Log: string(t.Log), Broken: broken,
		})
	}
	return t, broken
}

func receipts(t *host.Transition) host.Receipts {
	var r host.Receipts
	must(host.ReceiptsFormat.Decode(t.Reply.Receipts, &r))
	return r
}

func events(t *host.Transition, source host.EventSource, index int64) (list [][]byte) {
	for _, e := range t.Events {
		if e.Source == source && e.Index == index {
			list = append(list, e.Data)
		}
	}
	return list
}

// must panics where the host is at fault.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("hosttest: %v", err))
	}
}
