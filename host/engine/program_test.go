package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/guests/sdk/go/lockstep"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/guesttest"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// buildProgram builds testdata/program as users build their guests.
func buildProgram(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", path, "./testdata/program")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// program is an instance of it that was brought up with a seed.
func program(t *testing.T, open guesttest.Open, wasm []byte, seed byte) (call func(export, command string) host.Outcome) {
	t.Helper()
	g := open(t, wasm)
	t.Cleanup(func() { _ = g.Close() })
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	call = func(export, command string) host.Outcome {
		o := g.Call(host.Call{
			Export: export, Input: []byte(command), Gas: 2_000_000_000,
			Time: ordering.Time(at.UnixNano()), Seq: 1 << 40, Caller: [32]byte{0xca, 0x11}, Random: host.RandomKey{Seed: [32]byte{seed}},
		})
		if o.Status != wasmabi.OK {
			g.Undo()
		}
		g.Commit()
		return o
	}
	if o := call(wasmabi.ExportInit, ""); o.Status != wasmabi.OK {
		t.Fatalf("init: %v, %v, %s", o.Status, o.Trap, o.Log)
	}
	return call
}

// TestProgram runs an ordinary Go program: its clock, randomness, goroutines,
// garbage collector and output are the machine's, and however it dies, the
// instance goes on.
func TestProgram(t *testing.T) {
	open, wasm := opener(t, engine.Config{}), buildProgram(t)
	call := program(t, open, wasm, 1)
	do := func(command string) host.Outcome { return call(wasmabi.ExportApply, command) }
	applied := 0
	for _, tc := range []struct {
		command string
		status  wasmabi.Status
		trap    wasmabi.Trap
		output  string
		log     string
	}{
		{"now", wasmabi.OK, 0, "2026-05-04T03:02:01Z 2026-05-04T03:02:01Z", ""},
		{"sleep", wasmabi.OK, 0, "1h30m0s", ""},
		{"now", wasmabi.OK, 0, "2026-05-04T04:32:01Z 2026-05-04T03:02:01Z", ""},
		// The random bytes are the first that TestWASIRandom has for this key.
		{"ambient", wasmabi.OK, 0, "1099511627776 ca11 cceb0ba525a3793f", ""},
		{"goroutines", wasmabi.OK, 0, "1225", ""},
		{"gc", wasmabi.OK, 0, "", ""},
		{"recursion", wasmabi.OK, 0, "1000", ""},
		{"environment", wasmabi.OK, 0, "0 0 open /etc/passwd: Bad file number; EOF", ""},
		{"print", wasmabi.OK, 0, "", "to stdout\nto stderr\nto the log\n"},
		{"reject", wasmabi.Rejected, 0, "no", ""},
		{"error", wasmabi.Rejected, 0, "an error", ""},
		{"panic", wasmabi.Trapped, wasmabi.Unreachable, "", "panic: on purpose"},
		{"deadlock", wasmabi.Trapped, wasmabi.Unreachable, "", "all goroutines are asleep"},
		{"exit", wasmabi.Trapped, wasmabi.Exited, "", ""},
		{"spin", wasmabi.OutOfGas, 0, "", ""},
		{"memory", wasmabi.Trapped, wasmabi.Unreachable, "", "out of memory"},
	} {
		o := do(tc.command)
		if o.Status != tc.status || o.Trap != tc.trap {
			t.Errorf("%s: got %v, %v, log %.300s; want %v, %v", tc.command, o.Status, o.Trap, o.Log, tc.status, tc.trap)
		}
		if tc.output != "" && string(o.Output) != tc.output {
			t.Errorf("%s: got %q, want %q", tc.command, o.Output, tc.output)
		}
		if !strings.Contains(string(o.Log), tc.log) {
			t.Errorf("%s: got log %q, want %q in it", tc.command, o.Log, tc.log)
		}
		if o.Status == wasmabi.OK {
			applied++
		}
	}
	if o := do("total"); string(o.Output) != strconv.Itoa(applied+1) {
		t.Errorf("the program counts %s calls, want the %d that were ok and this", o.Output, applied)
	}

	for _, export := range []string{wasmabi.ExportQuery, wasmabi.ExportSave} {
		if o := call(export, ""); o.Status != wasmabi.Rejected || o.Code != lockstep.CodeUnsupported {
			t.Errorf("%s of a machine without: %v, code %d", export, o.Status, o.Code)
		}
	}
	// Go draws the order of maps and math/rand from what it got as it came up.
	for _, command := range []string{"map", "rand"} {
		first, same, other := program(t, open, wasm, 1), program(t, open, wasm, 1), program(t, open, wasm, 2)
		a, b, c := first(wasmabi.ExportApply, command).Output, same(wasmabi.ExportApply, command).Output, other(wasmabi.ExportApply, command).Output
		if string(a) != string(b) || string(a) == string(c) {
			t.Errorf("%s: one seed gave %x and %x, another %x", command, a, b, c)
		}
	}
}
