package differential

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

const replayed = 10_000 // inputs

// record is a call for testdata/replay.mjs.
type record struct {
	Export string `json:"export"`
	Input  []byte `json:"input"`
	Time   string `json:"time"`
	Gas    string `json:"gas"`
	Random []byte `json:"random"`
	Fails  bool   `json:"fails"`
}

// answer is what it says of a call.
type answer struct {
	Code   uint32 `json:"code"`
	End    string `json:"end"`
	Gas    string `json:"gas"`
	Output []byte `json:"output"`
}

// The store, a Go program with a scheduler and a garbage collector, has the same
// root after 10,000 inputs under this host and under another, which runs the
// instrumented module on V8; so has each of its answers.
func TestReplayOnV8(t *testing.T) {
	dir := t.TempDir()
	records, want, root := recordRun(t, engine.Auto, inputs())
	m, err := instrument.Instrument(kv.V2, instrument.Config{MaxMemoryPages: host.DefaultMaxMemory, Contract: true})
	if err != nil {
		t.Fatal(err)
	}
	module, calls, state := filepath.Join(dir, "kv.wasm"), filepath.Join(dir, "calls"), filepath.Join(dir, "state")
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, r := range records {
		if err := encoder.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	for path, data := range map[string][]byte{module: m.Wasm, calls: lines.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", "testdata/replay.mjs", module, calls, state)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 1<<26)
	for i := range want {
		var got answer
		if !scanner.Scan() || json.Unmarshal(scanner.Bytes(), &got) != nil {
			t.Fatalf("no answer to call %d", i)
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Fatalf("call %d, %s: V8 gives %+v, want %+v", i, records[i].Export, got, want[i])
		}
	}
	var last struct {
		Globals []string `json:"globals"`
	}
	if !scanner.Scan() || json.Unmarshal(scanner.Bytes(), &last) != nil {
		t.Fatal("no globals")
	}
	var globals []uint64
	for _, g := range last.Globals {
		v, err := strconv.ParseUint(g, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		globals = append(globals, v)
	}
	memory, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if got := rootOf(memory, globals); got != root {
		t.Errorf("root on V8 is %v, want %v", got, root)
	}
}

// rootOf is the root of a guest's state.
func rootOf(memory []byte, globals []uint64) audit.Digest {
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	all := make([]uint32, len(memory)/snapshot.PageSize)
	for i := range all {
		all[i] = uint32(i)
	}
	tree.Update(memory, all)
	return snapshot.Manifest{Size: uint64(len(memory)), Pages: tree.Root(), Globals: globals}.Root()
}

// recordRun makes the calls here.
func recordRun(t *testing.T, kind engine.Kind, calls []host.Call) (records []record, want []answer, root audit.Digest) {
	t.Helper()
	e, err := engine.New(engine.Config{Kind: kind, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	m, err := e.Compile(kv.V2, host.DefaultMaxMemory)
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Instantiate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	ends := make(map[wasmabi.Status]int)
	for i, c := range calls {
		o := g.Call(c)
		if o.Status == wasmabi.OK {
			g.Commit()
		} else {
			g.Undo()
		}
		ends[o.Status]++
		a := answer{Code: o.Code, Gas: fmt.Sprint(o.Gas), Output: o.Output}
		if o.Status == wasmabi.OutOfGas {
			a.End = "gas"
		}
		if a.Output == nil {
			a.Output = []byte{}
		}
		if i == 0 && o.Status != wasmabi.OK || o.Status == wasmabi.Trapped {
			t.Fatalf("call %d: %v, %v, %s", i, o.Status, o.Trap, o.Log)
		}
		want = append(want, a)
		records = append(records, record{c.Export, c.Input, fmt.Sprint(int64(c.Time)), fmt.Sprint(c.Gas), stream(c.Random.Key()), o.Status != wasmabi.OK})
	}
	if ends[wasmabi.Rejected] == 0 || ends[wasmabi.OutOfGas] == 0 || ends[wasmabi.OK] < len(calls)/2 {
		t.Errorf("calls ended %v", ends)
	}
	return records, want, rootOf(g.Memory(), g.Globals())
}

// stream is the beginning of a call's random stream: BLAKE3 in derive-key mode.
func stream(key [32]byte) []byte {
	h := blake3.NewDeriveKey("lockstep guest random stream v1")
	_, _ = h.Write(key[:])
	b := make([]byte, 128)
	_, _ = h.Digest().Read(b)
	return b
}

// inputs are those of the store: what it holds is overwritten several times.
func inputs() []host.Call {
	source := rand.New(rand.NewPCG(3, 4))
	value := make([]byte, 4096)
	for i := range value {
		value[i] = byte(source.Uint32())
	}
	calls := []host.Call{{Export: wasmabi.ExportInit, Gas: 1e9}}
	for range replayed {
		key := fmt.Sprint("key ", source.IntN(500))
		c := host.Call{Export: wasmabi.ExportApply, Gas: 1e9}
		switch n := source.IntN(100); {
		case n < 50:
			c.Input = kv.Put(key, value[:source.IntN(len(value))])
		case n < 75:
			c.Input = kv.Get(key)
		case n < 85:
			c.Input = kv.Delete(key)
		case n < 93:
			c.Input = kv.Add(fmt.Sprint("n", n), int64(n))
		case n < 94:
			c.Input = kv.Put(key, value)
			c.Gas = 1000 + uint64(source.IntN(20_000))
		case n < 95:
			c.Input = []byte{99}
		default:
			c.Input = kv.Count()
		}
		calls = append(calls, c)
	}
	for i := range calls {
		calls[i].Seq, calls[i].Time = ordering.Seq(i), ordering.Time(i)*1_000_000
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], uint64(i))
		calls[i].Random = host.RandomKey{Seed: key}
	}
	return calls
}
