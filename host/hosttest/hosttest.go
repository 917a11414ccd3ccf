// Package hosttest runs a guest without a cluster: the real engine and the
// real machine, one replica, and a clock that the test moves.
//
//	func TestCounter(t *testing.T) {
//		m := hosttest.Open(t, wasm, hosttest.Options{})
//		got := m.Apply([]byte("add 2"))
//		if got.Err() != nil || string(got.Output) != "2" { … }
//		m.Advance(time.Minute)    // timers that fall due run
//		m.Reload()                // as a replica that was killed and restored
//	}
//
// Two machines that were given the same calls have the same Root, whatever
// their engines; a guest for which that does not hold is a bug of ours.
package hosttest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// Options of a machine. The zero value is good.
type Options struct {
	Config host.Config    // zero values are the host's defaults
	Engine *engine.Engine // to share compiled code between tests; nil: one of its own, of kind engine.Auto
	Time   time.Time      // at which the guest is deployed; zero is 2026-01-01 UTC
	Caller host.ClientID  // whom Apply and Query speak for
}

// Machine is a deployed guest. Its methods are for one goroutine. They panic
// only where the host is at fault.
type Machine struct {
	opts     Options
	own      *engine.Engine // to be closed with the machine
	engine   *engine.Engine
	modules  map[audit.Digest]*engine.Module
	sources  map[audit.Digest][]byte
	machine  *host.Machine
	now      ordering.Time
	numbers  map[host.ClientID]uint64
	deployed Result
	ran      []Result // timers, since the last Advance
}

// Result is what became of one input, one timer or one upgrade.
type Result struct {
	host.Receipt          // status, output and gas
	Timer        int64    // the timer's id, of results of Advance
	Events       [][]byte // that it emitted
	Log          string   // that the guest wrote meanwhile
	Broken       string   // why the guest's invariant does not hold after its entry; empty if it does, or there is none
}

// Err is nil if the input was applied and the guest's invariant holds, and else
// says why not.
func (r Result) Err() error {
	if r.Broken != "" {
		return fmt.Errorf("broke the guest's invariant: %s%s", r.Broken, r.said())
	}
	switch r.Status {
	case wasmabi.OK:
		return nil
	case wasmabi.Rejected:
		return fmt.Errorf("rejected with code %d: %s", r.Code, r.Output)
	case wasmabi.Trapped:
		return fmt.Errorf("trapped: %v%s", r.Trap, r.said())
	case wasmabi.OutOfGas:
		return fmt.Errorf("out of gas after %d%s", r.Gas, r.said())
	}
	return fmt.Errorf("refused, %v: %s%s", host.Refusal(r.Code), r.Output, r.said())
}

func (r Result) said() string {
	if r.Log == "" {
		return ""
	}
	return "; the guest logged: " + strings.TrimRight(r.Log, "\n")
}

// TB is what Open needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Open deploys a guest for a test, which fails where it cannot be deployed.
func Open(t TB, wasm []byte, opts Options) *Machine {
	t.Helper()
	m, err := New(wasm, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

const machineName = "test"

// key is that of the one replica.
var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// New deploys a guest. The error says why it is refused, or that its
// lockstep_init failed.
func New(wasm []byte, opts Options) (*Machine, error) {
	if opts.Time.IsZero() {
		opts.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	m := &Machine{
		opts: opts, engine: opts.Engine, now: ordering.Time(opts.Time.UnixNano()), numbers: make(map[host.ClientID]uint64),
		modules: make(map[audit.Digest]*engine.Module), sources: make(map[audit.Digest][]byte),
	}
	if m.engine == nil {
		var err error
		if m.own, err = engine.New(engine.Config{Lines: true}); err != nil {
			return nil, fmt.Errorf("start engine: %w", err)
		}
		m.engine = m.own
	}
	m.machine = host.New(machineName, instrument.Profile, m.load)
	if m.deployed = m.deploy(wasm); m.deployed.Err() != nil {
		m.Close()
		return nil, fmt.Errorf("deploy: %w", m.deployed.Err())
	}
	return m, nil
}

func (m *Machine) deploy(wasm []byte) Result {
	module, holders := m.hold(wasm)
	return m.control(host.ControlDeploy, host.DeployFormat.Encode(host.Deploy{
		Machine: machineName, Module: module, Config: m.opts.Config, Holders: holders,
		Members: []audit.Member{{ID: "one", Key: key.Public().(ed25519.PublicKey), Voter: true}},
	}))
}

// hold makes a module known, as a replica says that it holds it.
func (m *Machine) hold(wasm []byte) (audit.Digest, []audit.Holding) {
	h := audit.Holding{Machine: machineName, Replica: "one", Module: host.ModuleDigest(wasm)}
	h.Sign(key)
	m.sources[h.Module] = wasm
	return h.Module, []audit.Holding{h}
}

// load implements host.Load.
func (m *Machine) load(module audit.Digest, config host.Config) (host.Guest, error) {
	compiled := m.modules[module]
	if compiled == nil {
		var err error
		compiled, err = m.engine.Compile(m.sources[module], config.MaxMemory)
		var refusal *instrument.Refusal
		if errors.As(err, &refusal) {
			return nil, fmt.Errorf("%w: %w", host.ErrModuleRefused, refusal)
		}
		if err != nil {
			return nil, err
		}
		m.modules[module] = compiled
	}
	return compiled.Instantiate()
}

// Close frees the guest.
func (m *Machine) Close() {
	m.machine.Close()
	for _, module := range m.modules {
		_ = module.Close() // frees memory; what could fail is a mistake of the engine
	}
	if m.own != nil {
		_ = m.own.Close()
	}
}
