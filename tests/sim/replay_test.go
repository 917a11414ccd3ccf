package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering"
	"lockstep/ordering/memlog"
	"lockstep/snapshot"
	"lockstep/snapshot/store"
	"lockstep/wasmabi/instrument"
)

// library is modules that machines load, on one engine.
type library struct {
	engine  *engine.Engine
	modules map[audit.Digest]*engine.Module
}

func newLibrary(t *testing.T, kind engine.Kind, modules ...[]byte) *library {
	t.Helper()
	e, err := engine.New(engine.Config{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	l := &library{engine: e, modules: make(map[audit.Digest]*engine.Module)}
	for _, wasm := range modules {
		m, err := e.Compile(wasm, 256)
		if err != nil {
			t.Fatal(err)
		}
		l.modules[m.Digest()] = m
	}
	return l
}

func (l *library) load(d audit.Digest, _ host.Config) (host.Guest, error) {
	m := l.modules[d]
	if m == nil {
		return nil, fmt.Errorf("%w: not in the library", host.ErrModuleRefused)
	}
	return m.Instantiate()
}

func (l *library) machine(t *testing.T) *host.Machine {
	m := host.New("sim", instrument.Profile, l.load)
	t.Cleanup(m.Close)
	return m
}

func probe(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../host/guesttest/testdata/probe.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func key(i byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, 32)) }

func member(i byte) audit.Member {
	return audit.Member{ID: audit.ReplicaID('a' + rune(i)), Key: key(i + 1).Public().(ed25519.PublicKey), Voter: true}
}

func holdings(module audit.Digest) (list []audit.Holding) {
	for i := range byte(8) { // whoever of them is a voter when it counts
		h := audit.Holding{Machine: "sim", Replica: member(i).ID, Module: module}
		h.Sign(key(i + 1))
		list = append(list, h)
	}
	return list
}

// script makes the entries of a run.
type script struct {
	rng     *rand.Rand
	modules [][]byte // the first is deployed
	payload func(*rand.Rand) []byte
	numbers [4]uint64 // of the clients
	control uint64
}

func (s *script) deploy() []byte {
	d := host.ModuleDigest(s.modules[0])
	return s.order(host.ControlDeploy, host.DeployFormat.Encode(host.Deploy{
		Machine: "sim", Module: d, Members: []audit.Member{member(0), member(1), member(2)}, Holders: holdings(d)[:3],
		Config: host.Config{MaxMemory: 256, AuditEvery: 5, CheckpointEvery: 16, InputGas: 3_000_000},
	}))
}

func (s *script) order(kind host.ControlKind, body []byte) []byte {
	s.control++
	return host.Control{Session: host.Session{Client: host.ClientID{99}}, Number: s.control, Kind: kind, Body: body}.Encode()
}

func (s *script) next() []byte {
	switch s.rng.IntN(16) {
	case 0:
		return s.order(host.ControlCheckpoint, nil)
	case 1:
		return s.order(host.ControlJoin, host.JoinFormat.Encode(host.Join{Member: member(byte(s.rng.IntN(8)))}))
	case 2:
		return s.order(host.ControlQuit, host.QuitFormat.Encode(host.Quit{Replica: member(byte(s.rng.IntN(8))).ID}))
	case 3:
		d := host.ModuleDigest(s.modules[s.rng.IntN(len(s.modules))])
		return s.order(host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: d, Holders: holdings(d)}))
	case 4:
		nonsense := make([]byte, s.rng.IntN(40))
		for i := range nonsense {
			nonsense[i] = byte(s.rng.Uint32())
		}
		return append([]byte("LSB1")[:s.rng.IntN(5)], nonsense...)
	}
	c := s.rng.IntN(len(s.numbers))
	b := host.Batch{Session: host.Session{Client: host.ClientID{byte(c)}, Floor: s.numbers[c] / 2}}
	first := s.numbers[c] + 1 - min(s.numbers[c], uint64(s.rng.IntN(3))) // some are asked again
	for i := range uint64(1 + s.rng.IntN(6)) {
		b.Inputs = append(b.Inputs, host.Input{Number: first + i, Payload: s.payload(s.rng)})
		s.numbers[c] = max(s.numbers[c], first+i)
	}
	return b.Encode()
}

// kvPayload is a request to kv, and now and then one that it rejects.
func kvPayload(r *rand.Rand) []byte {
	k := fmt.Sprint("key-", r.IntN(30))
	switch r.IntN(8) {
	case 0:
		return kv.Get(k)
	case 1:
		return kv.Delete(k)
	case 2:
		return []byte("no request")
	case 3:
		return kv.Count()
	case 4:
		return kv.Add("number-"+k, int64(r.IntN(9)))
	}
	return kv.Put(k, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(9000)))
}

// probePayload is a command of the conformance suite's guest: count, reject,
// trap, loop for ever, recurse for ever, grow and trap.
func probePayload(r *rand.Rand) []byte {
	switch op := r.IntN(12); op {
	case 2, 3:
		return binary.LittleEndian.AppendUint32([]byte{byte(op)}, 7)
	case 4, 5:
		return []byte{byte(op)}
	case 7:
		return binary.LittleEndian.AppendUint32([]byte{7}, 3)
	}
	return []byte{1}
}

// ordered is the log of a run, through the faults of its sequencer: entries that
// are repeated, lost before they are ordered, and times that step back.
func (s *script) ordered(t *testing.T, seed uint64, n int) []ordering.Entry {
	t.Helper()
	log := memlog.New(memlog.Config{Seed: seed}).Open()
	if _, err := log.Append(t.Context(), s.deploy()); err != nil {
		t.Fatal(err)
	}
	faulty := memlog.New(memlog.Config{First: 2, Seed: seed, Faults: memlog.Faults{
		Refuse: 20, DropEntry: 20, DropAck: 20, Duplicate: 60, StepBack: 50, StepTime: time.Hour, ShortRead: 300,
	}})
	rest := faulty.Open()
	for range n {
		if _, err := rest.Append(t.Context(), s.next()); err != nil && !errors.Is(err, memlog.ErrDown) && !errors.Is(err, memlog.ErrNoAck) {
			t.Fatal(err)
		}
	}
	state, err := rest.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := log.Read(t.Context(), 1)
	for err == nil && entries[len(entries)-1].Seq < state.Last {
		var more []ordering.Entry
		more, err = rest.Read(t.Context(), entries[len(entries)-1].Seq+1)
		entries = append(entries, more...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// whole is all of a machine's state, in a form that can be compared.
func whole(m *host.Machine) string {
	man := m.Manifest()
	return fmt.Sprintf("%x\n%x", man.Encode(), snapshot.PageDigest(append(bytes.Clone(m.Memory()), m.Live()...)))
}

// told is all that a transition tells the world, but for the checkpoint's memory.
func told(tr *host.Transition) string {
	c := "no checkpoint"
	if tr.Checkpoint != nil {
		c = fmt.Sprintf("checkpoint %x", tr.Checkpoint.Manifest.Encode())
	}
	return fmt.Sprintf("%d %d %v %+v %+v %+v %v %q %s", tr.Epoch, tr.Seq, tr.Chain, tr.Reply, tr.Audited, tr.Members, tr.Upgraded, tr.Log, c)
}

// A checkpoint and the entries after it give what all entries give, to the byte,
// for every checkpoint of a run, on either engine.
func TestCheckpointAndSuffixAreTheReplay(t *testing.T) {
	guests := map[string]script{
		"kv":    {modules: [][]byte{kv.V1, kv.V2}, payload: kvPayload},
		"probe": {modules: [][]byte{probe(t)}, payload: probePayload},
	}
	for _, name := range []string{"kv", "probe"} {
		t.Run(name, func(t *testing.T) {
			s := guests[name]
			compiled, interpreted := newLibrary(t, engine.Compiler, s.modules...), newLibrary(t, engine.Interpreter, s.modules...)
			seeds(t, 1, func(t *testing.T, seed uint64) {
				s := guests[name]
				s.rng = rand.New(rand.NewPCG(seed, 77))
				checkRun(t, s.ordered(t, seed, 70), compiled, interpreted)
			})
		})
	}
}

func checkRun(t *testing.T, entries []ordering.Entry, first, other *library) {
	t.Helper()
	shelf, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shelf.Close() })
	m := first.machine(t)
	var after, tells []string
	kinds := make(map[string]int)
	for _, e := range entries {
		tr, err := m.Apply(e)
		if err != nil {
			t.Fatal(err)
		}
		if tr.Checkpoint != nil {
			if err := shelf.Save(context.Background(), tr.Checkpoint); err != nil {
				t.Fatal(err)
			}
			tr.Checkpoint.Memory.Release()
			kinds["checkpoint"]++
		}
		if tr.Upgraded != nil {
			kinds["upgrade"]++
		}
		if tr.Members != nil {
			kinds["members"]++
		}
		after, tells = append(after, whole(m)), append(tells, told(tr))
	}
	if kinds["checkpoint"] < 4 || kinds["members"] < 2 || kinds["upgrade"] < 1 {
		t.Fatalf("the run has too little in it: %v", kinds)
	}
	list, err := shelf.List("sim")
	if err != nil || len(list) != kinds["checkpoint"] {
		t.Fatalf("%d of %d checkpoints are stored, %v", len(list), kinds["checkpoint"], err)
	}
	for i, man := range list {
		l := first
		if i%3 == 0 {
			l = other // which is slow
		}
		m := restored(t, shelf, man, l)
		if got := whole(m); got != after[man.Seq-1] {
			t.Fatalf("restored at seq %d: %s", man.Seq, differ(got, after[man.Seq-1]))
		}
		for i, e := range entries[man.Seq:] {
			at := int(man.Seq) + i
			tr, err := m.Apply(e)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(tr); got != tells[at] {
				t.Fatalf("checkpoint %d, then seq %d: %s", man.Seq, e.Seq, differ(got, tells[at]))
			}
			if got := whole(m); got != after[at] {
				t.Fatalf("checkpoint %d, state after seq %d: %s", man.Seq, e.Seq, differ(got, after[at]))
			}
			if tr.Checkpoint != nil {
				tr.Checkpoint.Memory.Release()
			}
		}
		m.Close()
	}
}

func restored(t *testing.T, shelf *store.Store, man snapshot.Manifest, l *library) *host.Machine {
	t.Helper()
	m := host.New("sim", instrument.Profile, l.load)
	if _, err := m.Adopt(man); err != nil {
		t.Fatal(err)
	}
	if err := shelf.Restore(man, m.Tree().View(), func(pages []snapshot.Page) error {
		return m.Patch(snapshot.Delta{Size: man.Size, Pages: pages})
	}); err != nil {
		t.Fatal(err)
	}
	if m.Root() != man.Root() {
		t.Fatalf("restored root %v, want %v", m.Root(), man.Root())
	}
	return m
}

// differ shows where two texts part.
func differ(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	cut := func(s string) string { return s[max(0, i-40):min(len(s), i+60)] }
	return fmt.Sprintf("at %d …%s…, want …%s…", i, cut(got), cut(want))
}
