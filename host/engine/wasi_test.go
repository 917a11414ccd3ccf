package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"lockstep/host"
	"lockstep/host/guesttest"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// wasiRig calls WASI functions as a guest would.
type wasiRig struct {
	*guest
	t     testing.TB
	funcs map[string]hostFunc
}

func newWASIRig(t testing.TB) wasiRig {
	t.Helper()
	e, err := New(Config{Kind: Interpreter})
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Compile(guesttest.Module(t, "minimal"), 1)
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Instantiate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = g.Close(), e.Close() })
	r := wasiRig{g.(*guest), t, make(map[string]hostFunc)}
	for _, f := range wasiFuncs() {
		r.funcs[f.decl.Name] = f
	}
	r.begin(host.Call{Gas: math.MaxInt64, Time: 5_000_000, Random: host.RandomKey{Seed: [32]byte{1}}})
	return r
}

// call leaves garbage above 32-bit arguments, as compiled code does.
func (r wasiRig) call(name string, args ...uint64) errno {
	r.t.Helper()
	f := r.funcs[name]
	if len(args) != len(f.decl.Params) {
		r.t.Fatalf("%s has %d parameters, got %d", name, len(f.decl.Params), len(args))
	}
	stack := make([]uint64, max(1, len(args)))
	for i, a := range args {
		if stack[i] = a; f.decl.Params[i] == 'i' {
			stack[i] |= 0xdead_beef << 32
		}
	}
	f.Call(r.context, stack)
	return errno(stack[0])
}

func (r wasiRig) want(what string, got, want errno) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: got errno %d, want %d", what, got, want)
	}
}

func (r wasiRig) u32(at int) uint32 { return binary.LittleEndian.Uint32(r.memory.pages.Live()[at:]) }
func (r wasiRig) u64(at int) uint64 { return binary.LittleEndian.Uint64(r.memory.pages.Live()[at:]) }

func (r wasiRig) write(at int, values ...uint32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(r.memory.pages.Live()[at+4*i:], v)
	}
}

// nowhere is a pointer outside the one page of memory.
const nowhere = 1 << 16

func TestWASIStrings(t *testing.T) {
	r := newWASIRig(t)
	for _, name := range []string{"args", "environ"} {
		r.write(100, 7, 7)
		r.want(name, r.call(name+"_sizes_get", 100, 104), errnoSuccess)
		if r.u32(100) != 0 || r.u32(104) != 0 {
			t.Errorf("%s: got %d strings of %d bytes", name, r.u32(100), r.u32(104))
		}
		r.want(name, r.call(name+"_sizes_get", 100, nowhere-3), errnoFault)
		r.want(name, r.call(name+"_get", 0, 0), errnoSuccess)
	}
}

func TestWASIClock(t *testing.T) {
	r := newWASIRig(t)
	for id := uint64(0); id < 4; id++ {
		r.want("read", r.call("clock_time_get", id, 1, 200), errnoSuccess)
		if got, want := r.u64(200), 5_000_000+id*1000; got != want {
			t.Errorf("clock %d: got %d, want %d", id, got, want)
		}
		r.want("resolution", r.call("clock_res_get", id, 200), errnoSuccess)
		if got := r.u64(200); got != 1000 {
			t.Errorf("resolution of clock %d is %d", id, got)
		}
	}
	r.want("unknown clock", r.call("clock_time_get", 4, 0, 200), errnoInval)
	r.want("unknown clock", r.call("clock_res_get", 4, 200), errnoInval)
	r.want("nowhere", r.call("clock_time_get", 0, 0, nowhere-7), errnoFault)
}

func TestClock(t *testing.T) {
	const last = math.MaxInt64
	for _, tc := range []struct {
		last uint64
		now  ordering.Time
		want uint64
	}{
		{0, 0, 1000}, {0, -5, 1000}, {0, 5000, 5000}, {9000, 5000, 10_000}, {4000, 5000, 5000}, {4001, 5000, 5001},
		{last - 1000, 0, last}, {last - 999, 0, last}, {last, last, last}, {math.MaxUint64, 0, last},
	} {
		c := clock{tc.last}
		if got := c.read(tc.now); got != tc.want {
			t.Errorf("after %d at %d: read %d, want %d", tc.last, tc.now, got, tc.want)
		}
	}
}

// poll writes the subscriptions at 1000 and asks for events at 4000.
func (r wasiRig) poll(subs ...[]uint64) (errno, []string) {
	live := r.memory.pages.Live()
	for i, s := range subs {
		at := live[1000+48*i:][:48]
		clear(at)
		binary.LittleEndian.PutUint64(at, uint64(100+i))
		at[8] = byte(s[0])
		binary.LittleEndian.PutUint32(at[16:], uint32(s[1]))
		binary.LittleEndian.PutUint64(at[24:], s[2])
		binary.LittleEndian.PutUint16(at[40:], uint16(s[3]))
	}
	for i := range 32 * len(subs) {
		live[4000+i] = 0xff
	}
	e := r.call("poll_oneoff", 1000, 4000, uint64(len(subs)), 900)
	var events []string
	if e == errnoSuccess {
		for i := range int(r.u32(900)) {
			at := live[4000+32*i:][:32]
			if !bytes.Equal(at[11:], make([]byte, 21)) {
				r.t.Errorf("event %d ends in %x, want zeros", i, at[11:])
			}
			events = append(events, fmt.Sprintf("%d:%d:%d", r.u64(4000+32*i), at[10], binary.LittleEndian.Uint16(at[8:])))
		}
	}
	return e, events
}

func TestWASIPoll(t *testing.T) {
	const clock, read, write = 0, 1, 2
	for _, tc := range []struct {
		name   string
		subs   [][]uint64
		events string // userdata:type:errno
		moved  uint64 // the clock, besides the step of a read
	}{
		{"sleep", [][]uint64{{clock, 1, 7_000, 0}}, "100:0:0", 7_000},
		{"sleep of nothing", [][]uint64{{clock, 1, 0, 0}}, "100:0:0", 0},
		{"the earliest wakes", [][]uint64{{clock, 1, 9_000, 0}, {clock, 0, 7_000, 0}}, "101:0:0", 7_000},
		{"two at once", [][]uint64{{clock, 1, 7_000, 0}, {clock, 0, 7_000, 0}}, "100:0:0 101:0:0", 7_000},
		{"until", [][]uint64{{clock, 0, 5_007_000, 1}}, "100:0:0", 7_000},
		{"until the past", [][]uint64{{clock, 0, 4_000_000, 1}}, "100:0:0", 0},
		{"unknown clock", [][]uint64{{clock, 4, 7_000, 0}}, "100:0:28", 0},
		{"a stream is ready first", [][]uint64{{clock, 1, 7_000, 0}, {write, 1, 0, 0}, {read, 0, 0, 0}}, "101:2:0 102:1:0", 0},
		{"no such streams", [][]uint64{{write, 0, 0, 0}, {read, 3, 0, 0}}, "100:2:8 101:1:8", 0},
		{"output and errors", [][]uint64{{write, 1, 0, 0}, {write, 2, 0, 0}, {write, 3, 0, 0}}, "100:2:0 101:2:0 102:2:8", 0},
		{"unknown kind", [][]uint64{{3, 0, 0, 0}}, "100:3:28", 0},
		{"for ever", [][]uint64{{clock, 1, math.MaxUint64, 0}}, "100:0:0", math.MaxInt64 - 5_000_000},
	} {
		r := newWASIRig(t)
		e, events := r.poll(tc.subs...)
		r.want(tc.name, e, errnoSuccess)
		if got := strings.Join(events, " "); got != tc.events {
			t.Errorf("%s: got events %s, want %s", tc.name, got, tc.events)
		}
		if got := r.clock.last - 5_000_000; got != tc.moved {
			t.Errorf("%s: clock moved by %d, want %d", tc.name, got, tc.moved)
		}
	}
	r := newWASIRig(t)
	r.want("no subscriptions", r.call("poll_oneoff", 1000, 4000, 0, 900), errnoInval)
	r.want("an event at the end", r.call("poll_oneoff", 1000, nowhere-32, 1, 900), errnoSuccess)
	r.want("a count at the end", r.call("poll_oneoff", 1000, 4000, 1, nowhere-4), errnoSuccess)
	r.want("as many as may be", r.call("poll_oneoff", 1000, 4000, 1024, 900), errnoSuccess)
	r.want("too many", r.call("poll_oneoff", 1000, 4000, 1025, 900), errnoInval)
	r.want("subscriptions nowhere", r.call("poll_oneoff", nowhere-47, 4000, 1, 900), errnoFault)
	r.want("events nowhere", r.call("poll_oneoff", 1000, nowhere-31, 1, 900), errnoFault)
	r.want("count nowhere", r.call("poll_oneoff", 1000, 4000, 1, nowhere-3), errnoFault)
}

func TestWASIWrite(t *testing.T) {
	r := newWASIRig(t)
	copy(r.memory.pages.Live()[500:], "hello, world")
	r.write(100, 500, 5, 505, 0, 505, 7)
	r.want("write", r.call("fd_write", 1, 100, 3, 200), errnoSuccess)
	if got := r.u32(200); got != 12 {
		t.Errorf("wrote %d bytes, want 12", got)
	}
	r.want("write", r.call("fd_write", 2, 100, 1, 200), errnoSuccess)
	if got := string(r.log); got != "hello, worldhello" {
		t.Errorf("got log %q", got)
	}
	for _, fd := range []uint64{0, 3, math.MaxUint32} {
		r.want("other stream", r.call("fd_write", fd, 100, 3, 200), errnoBadF)
	}
	r.want("as many pieces as may be", r.call("fd_write", 1, 1000, 1024, 200), errnoSuccess)
	r.want("too many pieces", r.call("fd_write", 1, 100, 1025, 200), errnoInval)
	r.want("pieces nowhere", r.call("fd_write", 1, nowhere-23, 3, 200), errnoFault)
	r.want("count nowhere", r.call("fd_write", 1, 100, 3, nowhere-3), errnoFault)
	r.write(100, 500, 5, nowhere-4, 5)
	r.want("piece nowhere", r.call("fd_write", 1, 100, 2, 200), errnoFault)
	for range 100 {
		r.write(100, 0, 60_000)
		r.want("flood", r.call("fd_write", 1, 100, 1, 200), errnoSuccess)
	}
	if len(r.log) != wasmabi.MaxLog {
		t.Errorf("log has %d bytes, want %d", len(r.log), wasmabi.MaxLog)
	}
}

func TestWASIStreams(t *testing.T) {
	r := newWASIRig(t)
	live := r.memory.pages.Live()
	for fd := uint64(0); fd < 3; fd++ {
		for i := range live[300:400] {
			live[300+i] = 0xff
		}
		r.want("fdstat", r.call("fd_fdstat_get", fd, 300), errnoSuccess)
		right := uint64(1 << 6)
		if fd == 0 {
			right = 1 << 1
		}
		if live[300] != 2 || r.u64(308) != right || r.u64(316) != 0 || live[324] != 0xff {
			t.Errorf("fdstat of %d is %x", fd, live[300:325])
		}
		r.want("filestat", r.call("fd_filestat_get", fd, 300), errnoSuccess)
		if stat := live[300:364]; stat[16] != 2 || bytes.Count(stat, []byte{0}) != 63 || live[364] != 0xff {
			t.Errorf("filestat of %d is %x", fd, live[300:365])
		}
		r.want("nowhere", r.call("fd_fdstat_get", fd, nowhere-23), errnoFault)
		r.want("nowhere", r.call("fd_filestat_get", fd, nowhere-63), errnoFault)
		r.want("close", r.call("fd_close", fd), errnoSuccess)
		r.want("seek", r.call("fd_seek", fd, 0, 0, 300), errnoSPipe)
		r.want("tell", r.call("fd_tell", fd, 300), errnoSPipe)
		r.want("set flags", r.call("fd_fdstat_set_flags", fd, 4), errnoNotSup)
	}
	r.want("fdstat", r.call("fd_fdstat_get", 3, 300), errnoBadF)
	r.want("filestat", r.call("fd_filestat_get", 3, 300), errnoBadF)
	r.want("close", r.call("fd_close", 3), errnoBadF)
	r.want("seek", r.call("fd_seek", 3, 0, 0, 300), errnoBadF)
	r.want("tell", r.call("fd_tell", 3, 300), errnoBadF)
	r.want("set flags", r.call("fd_fdstat_set_flags", 3, 4), errnoBadF)
	r.want("read", r.call("fd_read", 0, 100, 1, 300), errnoSuccess)
	if r.u32(300) != 0 {
		t.Errorf("read %d bytes from the empty input", r.u32(300))
	}
	r.want("read", r.call("fd_read", 1, 100, 1, 300), errnoBadF)
	r.want("read", r.call("fd_read", 0, 100, 1, nowhere-3), errnoFault)
}

func TestWASIRandom(t *testing.T) {
	r := newWASIRig(t)
	r.want("random", r.call("random_get", 300, 40), errnoSuccess)
	first := bytes.Clone(r.memory.pages.Live()[300:340])
	r.want("random", r.call("random_get", nowhere-4, 5), errnoFault)
	r.begin(host.Call{Gas: math.MaxInt64, Random: host.RandomKey{Seed: [32]byte{1}}})
	r.fillRandom(r.bytes(300, 8))
	r.want("random", r.call("random_get", 308, 32), errnoSuccess)
	if got := r.memory.pages.Live()[300:340]; !bytes.Equal(got, first) {
		t.Errorf("in two pieces the stream is %x, want %x", got, first)
	}
	// The stream is part of what replicas agree on, for ever.
	if want := "cceb0ba525a3793f7a497f6dace29f51"; fmt.Sprintf("%x", first[:16]) != want {
		t.Errorf("stream begins with %x, want %s", first[:16], want)
	}
}

// TestWASIRest calls every function that always answers alike.
func TestWASIRest(t *testing.T) {
	r := newWASIRig(t)
	before := bytes.Clone(r.memory.pages.Live())
	for _, decl := range wasmabi.WASI {
		if f := wasi[decl.Name]; f.run == nil {
			for _, fd := range []uint64{0, 3} {
				args := make([]uint64, len(decl.Params))
				for i := range args {
					args[i] = fd
				}
				r.want(decl.Name, r.call(decl.Name, args...), f.errno)
			}
		}
	}
	if !bytes.Equal(before, r.memory.pages.Live()) {
		t.Error("a function that does nothing wrote memory")
	}
	defer func() {
		if got := recover(); got != trapExited {
			t.Errorf("proc_exit ended with %v", got)
		}
	}()
	r.call("proc_exit", 3)
}

// The functions are those that wazero has of WASI preview 1, all of them, with their types.
func TestWASIComplete(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = r.Close(ctx) }()
	m, err := wasi_snapshot_preview1.NewBuilder(r).Compile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	letters := func(types []api.ValueType) (s string) {
		for _, typ := range types {
			s += map[api.ValueType]string{api.ValueTypeI32: "i", api.ValueTypeI64: "I"}[typ]
		}
		return s
	}
	all := m.ExportedFunctions()
	for _, f := range wasmabi.WASI {
		def, ok := all[f.Name]
		if !ok {
			t.Errorf("%s is not of WASI", f.Name)
			continue
		}
		if p, r := letters(def.ParamTypes()), letters(def.ResultTypes()); p != f.Params || r != f.Results {
			t.Errorf("%s is declared as (%s) -> (%s), want (%s) -> (%s)", f.Name, f.Params, f.Results, p, r)
		}
		delete(all, f.Name)
	}
	for name := range all {
		t.Errorf("%s is missing", name)
	}
}

// docs/wasi.md is written from the table; UPDATE=1 writes it anew.
func TestWASIDocument(t *testing.T) {
	const path, begin, end = "../../docs/wasi.md", "<!-- begin table -->\n", "<!-- end table -->\n"
	var rows []string
	for _, decl := range wasmabi.WASI {
		f, ok := wasi[decl.Name]
		if !ok {
			t.Errorf("%s has no behaviour", decl.Name)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", decl.Name, f.does))
	}
	if len(wasi) != len(rows) {
		t.Errorf("%d functions have a behaviour, %d are declared", len(wasi), len(rows))
	}
	slices.Sort(rows)
	table := "| function | what it does |\n|---|---|\n" + strings.Join(rows, "")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	if old == table {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("%s is not what the code does; UPDATE=1 writes it", path)
	}
	if err := os.WriteFile(path, []byte(head+begin+table+end+tail), 0o666); err != nil {
		t.Fatal(err)
	}
}
