package host_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// world is what machines of a test load modules from.
type world struct {
	engine  *engine.Engine
	modules map[audit.Digest]*engine.Module
	lost    bool // modules cannot be had now
}

func newWorld(t testing.TB, modules ...[]byte) *world {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	w := &world{engine: e, modules: make(map[audit.Digest]*engine.Module)}
	for _, wasm := range modules {
		m, err := e.Compile(wasm, 64)
		if err != nil {
			t.Fatal(err)
		}
		w.modules[m.Digest()] = m
	}
	return w
}

func (w *world) load(d audit.Digest, _ host.Config) (host.Guest, error) {
	if w.lost {
		return nil, fmt.Errorf("disk is gone")
	}
	m := w.modules[d]
	if m == nil {
		return nil, fmt.Errorf("%w: unknown to the test", host.ErrModuleRefused)
	}
	return m.Instantiate()
}

// bench drives one machine.
type bench struct {
	*host.Machine
	t     testing.TB
	world *world
	time  ordering.Time
	log   []ordering.Entry
}

func newBench(t testing.TB, w *world) *bench {
	b := &bench{t: t, world: w, Machine: host.New("test", instrument.Profile, w.load)}
	t.Cleanup(b.Close)
	return b
}

// apply orders data next and returns the receipts, nil if there is no reply.
func (b *bench) apply(data []byte) (*host.Transition, host.Receipts) {
	b.t.Helper()
	b.time += 1000
	e := ordering.Entry{Epoch: 1, Seq: b.Seq() + 1, Time: b.time, Data: data}
	b.log = append(b.log, e)
	t, err := b.Apply(e)
	if err != nil {
		b.t.Fatalf("apply seq %d: %v", e.Seq, err)
	}
	return t, receipts(b.t, t)
}

func receipts(t testing.TB, tr *host.Transition) host.Receipts {
	t.Helper()
	if tr.Reply == nil {
		return nil
	}
	var r host.Receipts
	if err := host.ReceiptsFormat.Decode(tr.Reply.Receipts, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

var alice = host.ClientID{1}

func batch(floor, first uint64, payloads ...[]byte) []byte {
	b := host.Batch{Session: host.Session{Client: alice, Floor: floor}}
	for i, p := range payloads {
		b.Inputs = append(b.Inputs, host.Input{Number: first + uint64(i), Payload: p})
	}
	return b.Encode()
}

func control(number uint64, kind host.ControlKind, body []byte) []byte {
	return host.Control{Session: host.Session{Client: host.ClientID{9}}, Number: number, Kind: kind, Body: body}.Encode()
}

func key(i byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, 32)) }

func member(id string, i byte) audit.Member {
	return audit.Member{ID: audit.ReplicaID(id), Key: key(i).Public().(ed25519.PublicKey), Voter: true}
}

var members = []audit.Member{member("a", 1), member("b", 2), member("c", 3)}

func holdings(module audit.Digest, ids ...string) []audit.Holding {
	var list []audit.Holding
	for _, id := range ids {
		h := audit.Holding{Machine: "test", Replica: audit.ReplicaID(id), Module: module}
		h.Sign(key(id[0] - 'a' + 1))
		list = append(list, h)
	}
	return list
}

func deployment(module []byte) []byte {
	d := host.ModuleDigest(module)
	return host.DeployFormat.Encode(host.Deploy{
		Machine: "test", Module: d, Members: members, Holders: holdings(d, "a", "c"),
		Config: host.Config{MaxMemory: 64, AuditEvery: 4, CheckpointEvery: 1000, InputGas: 5_000_000},
	})
}

// deployed returns a machine that runs a module.
func deployed(t testing.TB, w *world, module []byte) *bench {
	t.Helper()
	b := newBench(t, w)
	tr, r := b.apply(control(1, host.ControlDeploy, deployment(module)))
	if len(r) != 1 || r[0].Status != wasmabi.OK {
		t.Fatalf("deploy: %+v", r)
	}
	if tr.Checkpoint == nil || tr.Members == nil || tr.Audited == nil {
		t.Fatalf("deploy: transition lacks a checkpoint, members or an audit: %+v", tr)
	}
	return b
}

func probe(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile("guesttest/testdata/probe.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Commands of the probe guest.
func cmd(op byte, args ...uint32) []byte {
	b := []byte{op}
	for _, a := range args {
		b = binary.LittleEndian.AppendUint32(b, a)
	}
	return b
}

var (
	count   = cmd(1)
	reject  = cmd(2, 7)
	trap    = cmd(3)
	endless = cmd(4)
	recurse = cmd(5)
	growBad = cmd(7, 3)
)

func number(t testing.TB, r host.Receipt) uint32 {
	t.Helper()
	if r.Status != wasmabi.OK || len(r.Output) != 4 {
		t.Fatalf("receipt %+v, want ok with 4 bytes", r)
	}
	return binary.LittleEndian.Uint32(r.Output)
}

// An input that fails leaves no trace but its receipt, wherever in a batch it
// stands: the state is the one of a machine that never ran it.
func TestFailedInputLeavesNoTrace(t *testing.T) {
	w := newWorld(t, probe(t))
	for name, bad := range map[string]struct {
		input  []byte
		status wasmabi.Status
	}{
		"trap": {trap, wasmabi.Trapped}, "rejection": {reject, wasmabi.Rejected}, "endless loop": {endless, wasmabi.OutOfGas},
		"endless recursion": {recurse, wasmabi.Trapped}, "grow and trap": {growBad, wasmabi.Trapped},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range 4 {
				b := deployed(t, w, probe(t))
				before := b.MemoryAndGlobals()
				inputs := [][]byte{count, count, count}
				inputs = append(inputs[:at:at], append([][]byte{bad.input}, inputs[at:]...)...)
				_, r := b.apply(batch(0, 1, inputs...))
				if r[at].Status != bad.status {
					t.Errorf("failing input at %d: %v, want %v", at, r[at].Status, bad.status)
				}
				want := uint32(102)
				for i, receipt := range r {
					if i == at {
						continue
					}
					if got := number(t, receipt); got != want {
						t.Errorf("bad at %d: input %d counts %d, want %d", at, i, got, want)
					}
					want++
				}
				if before == b.MemoryAndGlobals() {
					t.Error("the good inputs changed nothing")
				}
				clean := deployed(t, w, probe(t))
				clean.apply(batch(0, 1, count, count, count))
				if got, want := b.MemoryAndGlobals(), clean.MemoryAndGlobals(); got != want {
					t.Errorf("bad at %d: memory and globals are %.16s, want %.16s as without it", at, got, want)
				}
			}
		})
	}
}

// MemoryAndGlobals is a digest of the guest's state alone.
func (b *bench) MemoryAndGlobals() string {
	man := b.Manifest()
	return fmt.Sprintf("%v %d %x", man.Pages, man.Size, man.Globals)
}

// A batch in which every other input fails runs each input at most twice.
func TestFailuresStayLinear(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	var inputs [][]byte
	for range 200 {
		inputs = append(inputs, count, trap)
	}
	_, r := b.apply(batch(0, 1, inputs...))
	for i, receipt := range r {
		if want := uint32(102 + i/2); i%2 == 0 && number(t, receipt) != want {
			t.Fatalf("input %d counts %d, want %d", i, number(t, receipt), want)
		}
	}
}

// A retried input is applied once, and its retry gets the first output again.
func TestRetryIsAppliedOnce(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	_, first := b.apply(batch(1, 1, count, trap))
	state := b.MemoryAndGlobals()
	_, again := b.apply(batch(1, 1, count, trap, count))
	if again[0].Duplicate != true || !bytes.Equal(again[0].Output, first[0].Output) || again[0].Gas != first[0].Gas {
		t.Errorf("retry: %+v, want the first receipt %+v again", again[0], first[0])
	}
	if again[1].Duplicate != true || again[1].Status != wasmabi.Trapped {
		t.Errorf("retry of a trap: %+v, want its first receipt again", again[1])
	}
	if got := number(t, again[2]); got != 103 {
		t.Errorf("the new input of the same batch counts %d, want 103", got)
	}
	b2 := deployed(t, w, probe(t))
	b2.apply(batch(1, 1, count))
	if b2.MemoryAndGlobals() != state {
		t.Error("a retry changed the guest")
	}
	_, late := b.apply(batch(3, 2, count))
	if late[0].Status != wasmabi.Refused || host.Refusal(late[0].Code) != host.RefusedTooLate {
		t.Errorf("input below the floor: %+v, want refused as too late", late[0])
	}
}

// Two machines that apply the same entries in whatever way are the same: one
// straight through, one that is stopped and restored at every checkpoint.
func TestCheckpointAndSuffixEqualReplay(t *testing.T) {
	w := newWorld(t, kv.V1)
	one := deployed(t, w, kv.V1)
	tr, _ := one.apply(control(2, host.ControlCheckpoint, nil))
	two := newBench(t, w)
	restore(t, two, tr.Checkpoint, one)
	two.time = one.time
	for i := range 60 {
		var data []byte
		switch {
		case i%20 == 19:
			data = control(uint64(3+i), host.ControlCheckpoint, nil)
		case i%7 == 3:
			data = []byte("no entry that means anything")
		default:
			k := fmt.Sprintf("key-%d", i%9)
			data = batch(0, uint64(1+3*i), kv.Put(k, bytes.Repeat([]byte{byte(i)}, 100*i)), kv.Get(k), kv.Delete(fmt.Sprintf("key-%d", i%4)))
		}
		tr1, r1 := one.apply(data)
		tr2, r2 := two.apply(data)
		if fmt.Sprint(r1) != fmt.Sprint(r2) {
			t.Fatalf("seq %d: receipts differ:\n%v\n%v", one.Seq(), r1, r2)
		}
		if a, b := one.Root(), two.Root(); a != b {
			t.Fatalf("seq %d: roots %v and %v", one.Seq(), a, b)
		}
		if (tr1.Audited == nil) != (tr2.Audited == nil) || tr1.Audited != nil && *tr1.Audited != *tr2.Audited {
			t.Fatalf("seq %d: audits differ", one.Seq())
		}
		if tr2.Checkpoint != nil {
			next := newBench(t, w)
			restore(t, next, tr1.Checkpoint, two)
			next.time = two.time
			two = next
		}
	}
}

// restore brings a new machine to a checkpoint, with the pages of a machine that
// is in the same state.
func restore(t testing.TB, b *bench, c *snapshot.Checkpoint, old *bench) {
	t.Helper()
	if _, err := b.Adopt(c.Manifest); err != nil {
		t.Fatal(err)
	}
	var pages []snapshot.Page
	memory := old.Memory()
	for i := 0; i < len(memory); i += snapshot.PageSize {
		pages = append(pages, snapshot.Page{Index: uint32(i / snapshot.PageSize), Data: memory[i:][:snapshot.PageSize]})
	}
	if err := b.Patch(snapshot.Delta{Size: c.Manifest.Size, Pages: pages}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Root(), c.Manifest.Root(); got != want {
		t.Fatalf("restored root %v, want %v", got, want)
	}
}

func TestUpgradeKeepsState(t *testing.T) {
	w := newWorld(t, kv.V1, kv.V2)
	b := deployed(t, w, kv.V1)
	b.apply(batch(0, 1, kv.Put("k", []byte("v")), kv.Put("l", []byte("w"))))
	_, r := b.apply(batch(0, 3, kv.Count()))
	if r[0].Status != wasmabi.Rejected {
		t.Fatalf("v1 counts: %+v", r[0])
	}
	v2 := host.ModuleDigest(kv.V2)
	tr, r := b.apply(control(2, host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: holdings(v2, "a", "b")})))
	if r[0].Status != wasmabi.OK || tr.Upgraded == nil || *tr.Upgraded != v2 {
		t.Fatalf("upgrade: %+v, %+v", r[0], tr)
	}
	_, r = b.apply(batch(0, 4, kv.Count(), kv.Get("k")))
	if n, err := kv.DecodeNumber(r[0].Output); err != nil || n != 2 {
		t.Errorf("v2 counts %d, %v, want 2", n, err)
	}
	if v, ok, err := kv.DecodeGet(r[1].Output); string(v) != "v" || !ok || err != nil {
		t.Errorf("v2 has %q, %v, %v", v, ok, err)
	}
}

// An upgrade that cannot be is refused alike by all, and the old guest goes on.
func TestUpgradeRefused(t *testing.T) {
	w := newWorld(t, kv.V1, kv.V2, probe(t))
	b := deployed(t, w, kv.V1)
	b.apply(batch(0, 1, kv.Put("k", []byte("v"))))
	v2, strange := host.ModuleDigest(kv.V2), audit.Digest{7}
	forged := holdings(v2, "a", "b")
	forged[1].Signature[0] ^= 1
	other := holdings(v2, "a", "b")
	other[1].Machine = "another"
	for name, c := range map[string]struct {
		body []byte
		want host.Refusal
	}{
		"held by a minority":        {host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: holdings(v2, "a")}), host.RefusedModule},
		"one holder counted twice":  {host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: holdings(v2, "a", "a")}), host.RefusedModule},
		"forged holding":            {host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: forged}), host.RefusedModule},
		"holding of other machine":  {host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: other}), host.RefusedModule},
		"holding of other module":   {host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: holdings(strange, "a", "b")}), host.RefusedModule},
		"module that is no guest":   {host.UpgradeFormat.Encode(host.Upgrade{Module: strange, Holders: holdings(strange, "a", "b")}), host.RefusedModule},
		"body that is not CBOR":     {[]byte("LSU1garbage"), host.RefusedMalformed},
		"new guest does not reload": {host.UpgradeFormat.Encode(host.Upgrade{Module: host.ModuleDigest(minimal(t, w)), Holders: holdings(host.ModuleDigest(minimal(t, w)), "a", "b")}), host.RefusedUpgrade},
	} {
		t.Run(name, func(t *testing.T) {
			state := b.MemoryAndGlobals()
			tr, r := b.apply(control(uint64(len(b.log)+10), host.ControlUpgrade, c.body))
			if r[0].Status != wasmabi.Refused || host.Refusal(r[0].Code) != c.want {
				t.Errorf("receipt %+v (%s), want refused with %v", r[0], r[0].Output, c.want)
			}
			if tr.Upgraded != nil {
				t.Error("and yet it was upgraded")
			}
			if b.MemoryAndGlobals() != state {
				t.Error("the old guest's state changed")
			}
			_, r = b.apply(batch(0, uint64(len(b.log)+100), kv.Get("k")))
			if v, _, _ := kv.DecodeGet(r[0].Output); string(v) != "v" {
				t.Errorf("the old guest answers %q", v)
			}
		})
	}
}

// minimal is a guest without lockstep_load, known to the world.
func minimal(t testing.TB, w *world) []byte {
	t.Helper()
	wasm, err := os.ReadFile("guesttest/testdata/minimal.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if w.modules[host.ModuleDigest(wasm)] == nil {
		m, err := w.engine.Compile(wasm, 64)
		if err != nil {
			t.Fatal(err)
		}
		w.modules[m.Digest()] = m
	}
	return wasm
}

// Where the module cannot be had, nothing has changed, and the same entry can
// be applied later.
func TestMissingModuleLeavesMachineAsItWas(t *testing.T) {
	w := newWorld(t, kv.V1, kv.V2)
	b := deployed(t, w, kv.V1)
	v2 := host.ModuleDigest(kv.V2)
	e := ordering.Entry{Epoch: 1, Seq: 2, Time: 5000, Data: control(2, host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: v2, Holders: holdings(v2, "a", "b")}))}
	root := b.Root()
	w.lost = true
	if _, err := b.Apply(e); err == nil {
		t.Fatal("applied without the module")
	}
	if b.Root() != root || b.Seq() != 1 {
		t.Error("a failed apply changed the machine")
	}
	w.lost = false
	if tr, err := b.Apply(e); err != nil || tr.Upgraded == nil {
		t.Errorf("second try: %+v, %v", tr, err)
	}
}

func TestMembership(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	n := uint64(1)
	var done *host.Transition
	do := func(kind host.ControlKind, body []byte) host.Receipt {
		t.Helper()
		n++
		var r host.Receipts
		done, r = b.apply(control(n, kind, body))
		return r[0]
	}
	join := func(m audit.Member) host.Receipt {
		return do(host.ControlJoin, host.JoinFormat.Encode(host.Join{Member: m}))
	}
	quit := func(id string) host.Receipt {
		return do(host.ControlQuit, host.QuitFormat.Encode(host.Quit{Replica: audit.ReplicaID(id)}))
	}
	if r := join(member("d", 4)); r.Status != wasmabi.OK {
		t.Errorf("join: %+v", r)
	}
	if got := b.Members(); got.Voters() != 4 || got.Majority() != 3 || got.Seq != b.Seq() {
		t.Errorf("after join: %+v", got)
	}
	at := b.Members().Seq
	if r := join(member("d", 4)); r.Status != wasmabi.OK || b.Members().Seq != at || done.Members != nil {
		t.Errorf("a second join: %+v, members of seq %d, told %v, want no change", r, b.Members().Seq, done.Members)
	}
	for name, m := range map[string]audit.Member{"other key": member("d", 5), "no name": member("", 6), "bad name": member("a.b", 6), "short key": {ID: "e", Key: []byte{1}}} {
		if r := join(m); r.Status != wasmabi.Refused || host.Refusal(r.Code) != host.RefusedMember {
			t.Errorf("join with %s: %+v", name, r)
		}
	}
	if r := quit("nobody"); r.Status != wasmabi.Refused {
		t.Errorf("quit of a stranger: %+v", r)
	}
	for _, id := range []string{"a", "b", "c"} {
		if r := quit(id); r.Status != wasmabi.OK {
			t.Errorf("quit %s: %+v", id, r)
		}
	}
	observer := member("e", 6)
	observer.Voter = false
	if r := join(observer); r.Status != wasmabi.OK || b.Members().Voters() != 1 || b.Members().Find("e") == nil {
		t.Errorf("join of an observer: %+v, %+v", r, b.Members())
	}
	last := member("d", 4)
	last.Voter = false
	if r := join(last); r.Status != wasmabi.Refused {
		t.Errorf("the last voter becomes an observer: %+v", r)
	}
	if r := quit("d"); r.Status != wasmabi.Refused {
		t.Errorf("quit of the last voter, an observer is left: %+v", r)
	}
	if r := quit("e"); r.Status != wasmabi.OK || b.Members().Find("e") != nil {
		t.Errorf("quit of an observer: %+v, %+v", r, b.Members())
	}
}

// Nothing that can be published to the log makes Apply fail or panic.
func TestHostileEntries(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	good := batch(0, 1, count)
	entries := [][]byte{
		nil, {}, []byte("LSB1"), []byte("LSC1"), good[:len(good)-1], append(bytes.Clone(good), 0),
		batch(0, 0, count), host.Batch{}.Encode(), control(0, host.ControlCheckpoint, nil), control(5, 99, nil),
		control(6, host.ControlDeploy, deployment(probe(t))), control(7, host.ControlJoin, nil), control(8, host.ControlQuit, []byte{1}),
	}
	for i, data := range entries {
		before := b.MemoryAndGlobals()
		chain := b.Chain()
		b.apply(data)
		if b.MemoryAndGlobals() != before {
			t.Errorf("entry %d changed the guest", i)
		}
		if b.Chain() == chain {
			t.Errorf("entry %d is not in the chain", i)
		}
	}
	if _, err := b.Apply(ordering.Entry{Epoch: 1, Seq: b.Seq() + 2}); err == nil {
		t.Error("an entry that skips a seq was applied")
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(batch(0, 1, count, trap))
	f.Add(control(1, host.ControlCheckpoint, nil))
	f.Add(control(2, host.ControlJoin, host.JoinFormat.Encode(host.Join{Member: member("d", 4)})))
	w := newWorld(f, probe(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := deployed(t, w, probe(t))
		b.apply(data)
		if b2, err := host.DecodeBatch(data); err == nil && !bytes.Equal(b2.Encode(), data) {
			t.Error("batch re-encodes to other bytes")
		}
		if c, err := host.DecodeControl(data); err == nil && !bytes.Equal(c.Encode(), data) {
			t.Error("control input re-encodes to other bytes")
		}
	})
}

func TestQueryChangesNothing(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	root := b.Root()
	for range 3 {
		if r := b.Query(nil, alice); number(t, r) != 102 {
			t.Errorf("query counts %d, want 102 each time", number(t, r))
		}
	}
	if b.Root() != root {
		t.Error("a query changed the state")
	}
}

// Memory that changes by itself is found, and put right from what was committed.
func TestScrub(t *testing.T) {
	w := newWorld(t, kv.V1)
	b := deployed(t, w, kv.V1)
	b.apply(batch(0, 1, kv.Put("k", bytes.Repeat([]byte("v"), 5000))))
	root := b.Root()
	at := bytes.Index(b.Live(), []byte("vvvvvvvv"))
	if at < 0 {
		t.Fatal("value is not in memory")
	}
	b.Live()[at] ^= 4
	var found []uint32
	for range 64 {
		b.Root()
		found = append(found, b.Scrub()...)
	}
	if want := uint32(at / snapshot.PageSize); len(found) == 0 || found[0] != want {
		t.Errorf("64 scrubs found pages %v, want %d", found, want)
	}
	if err := b.Rehash(); err != nil {
		t.Fatal(err)
	}
	if b.Root() != root || b.Live()[at] != 'v' {
		t.Error("the memory was not put right")
	}
	for range 64 {
		if found := b.Scrub(); len(found) > 0 {
			t.Errorf("scrub finds %v in memory that is right", found)
		}
	}
}

// In 64 scrubs each page is looked at, a share of them each time, wherever they begin and however small the memory.
func TestScrubPassesAll(t *testing.T) {
	for name, tc := range map[string]struct {
		wasm, input []byte
		least       int // pages that were written
	}{"kv": {kv.V1, kv.Put("k", bytes.Repeat([]byte("v"), 5000)), 2 * 64}, "probe": {probe(t), count, 1}} {
		b := deployed(t, newWorld(t, tc.wasm), tc.wasm)
		b.apply(batch(0, 1, tc.input))
		b.Root()
		for range 5 {
			b.Scrub()
		}
		pages := len(b.Live()) / snapshot.PageSize
		rotten := make(map[uint32]bool)
		for i := range pages {
			page := b.Memory()[i*snapshot.PageSize:][:snapshot.PageSize]
			if at := bytes.IndexFunc(page, func(r rune) bool { return r != 0 }); at >= 0 {
				b.Live()[i*snapshot.PageSize+at] ^= 16
				rotten[uint32(i)] = true
			}
		}
		if len(rotten) < tc.least {
			t.Fatalf("%s: %d pages of %d were written, which shows nothing", name, len(rotten), pages)
		}
		for range 64 {
			found := b.Scrub()
			if len(found) > pages/64+1 {
				t.Errorf("%s: one scrub looks at %d pages of %d", name, len(found), pages)
			}
			for _, i := range found {
				delete(rotten, i)
			}
		}
		if len(rotten) > 0 {
			t.Errorf("%s: 64 scrubs passed over %d pages", name, len(rotten))
		}
	}
}
