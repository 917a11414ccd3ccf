package hosttest_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/hosttest"
	"lockstep/wasmabi"
)

func guest(t *testing.T, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../guesttest/testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Both engines, and a machine that is restored after every call, end alike.
func TestMachinesAgree(t *testing.T) {
	interpreter, err := engine.New(engine.Config{Kind: engine.Interpreter})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = interpreter.Close() }()
	probe := guest(t, "probe")
	through := hosttest.Open(t, probe, hosttest.Options{})
	reloaded := hosttest.Open(t, probe, hosttest.Options{})
	interpreted := hosttest.Open(t, probe, hosttest.Options{Engine: interpreter})
	for i, in := range []string{"\x01", "\x03", "\x02\x09", "\x01", "\x13", "\x06\x01\x00\x00\x00", "\x01"} {
		want := through.Apply([]byte(in))
		for name, m := range map[string]*hosttest.Machine{"reloaded": reloaded, "interpreted": interpreted} {
			got := m.Apply([]byte(in))
			if got.Status != want.Status || got.Gas != want.Gas || string(got.Output) != string(want.Output) || m.Root() != through.Root() {
				t.Errorf("%s, input %d: got %+v and root %v, want %+v and %v", name, i, got, m.Root(), want, through.Root())
			}
		}
		reloaded.Reload()
	}
}

func TestErrorsSayWhy(t *testing.T) {
	m := hosttest.Open(t, guest(t, "probe"), hosttest.Options{Config: host.Config{InputGas: 1_000_000}})
	for in, want := range map[string]string{
		"\x02\x07\x00\x00\x00": "rejected with code 7: hello",
		"\x03":                 "trapped: unreachable; the guest logged: trap: unreachable\n\tat lockstep_apply (code offset 0x",
		"\x04":                 "out of gas after 1000000; the guest logged: trap: out of gas\n\tat lockstep_apply (code offset 0x",
	} {
		if err := m.Apply([]byte(in)).Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%x: got %v, want %q and so on", in, err, want)
		}
	}
	if err := m.Apply(nil).Err(); err != nil {
		t.Error(err)
	}
	if _, err := hosttest.New([]byte("no module"), hosttest.Options{}); err == nil || !strings.HasPrefix(err.Error(), "deploy: refused, module refused") {
		t.Errorf("no module: %v", err)
	}
}

func TestAdvanceRunsTimersAtTheirTime(t *testing.T) {
	m := hosttest.Open(t, guest(t, "effects"), hosttest.Options{})
	if d := m.Deployed(); len(d.Events) != 1 || string(d.Events[0]) != "hello" {
		t.Errorf("init emitted %q, want hello", d.Events)
	}
	set := func(id int64, at time.Time) {
		b := binary.LittleEndian.AppendUint64([]byte{2}, uint64(id))
		if err := m.Apply(binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))).Err(); err != nil {
			t.Fatal(err)
		}
	}
	start := m.Now()
	set(1, start.Add(time.Hour))
	set(-13, start.Add(2*time.Hour)) // traps
	set(3, start.Add(4*time.Hour))
	ran := m.Advance(3 * time.Hour)
	if len(ran) != 3 || ran[0].Timer != 100 || ran[1].Timer != 1 || ran[2].Timer != -13 || ran[2].Trap != wasmabi.Unreachable {
		t.Fatalf("ran %+v, want the timer of init, 1, and -13 trapped", ran)
	}
	if at := binary.LittleEndian.Uint64(ran[1].Events[0][8:]); int64(at) != start.Add(time.Hour).UnixNano() {
		t.Errorf("timer 1 saw time %d, want an hour after %v", at, start)
	}
	if at, ok := m.NextTimer(); !ok || !at.Equal(start.Add(4*time.Hour)) {
		t.Errorf("next timer at %v, %v", at, ok)
	}
	s := m.Snapshot()
	if ran := m.Advance(time.Hour); len(ran) != 1 || ran[0].Timer != 3 {
		t.Errorf("ran %+v, want 3", ran)
	}
	m.Restore(s)
	if ran := m.Advance(time.Hour); len(ran) != 1 || ran[0].Timer != 3 {
		t.Errorf("after going back: ran %+v, want 3 again", ran)
	}
	set(-17, m.Now()) // sets itself for now each time
	if ran := m.Advance(time.Second); len(ran) == 0 {
		t.Error("a timer for now did not run")
	}
}

func TestUpgrade(t *testing.T) {
	m := hosttest.Open(t, kv.V1, hosttest.Options{})
	m.Apply(kv.Put("a", []byte("1")))
	if r := m.Upgrade([]byte("no module")); r.Status != wasmabi.Refused {
		t.Errorf("upgrade to no module: %+v", r)
	}
	if r := m.Upgrade(kv.V2); r.Err() != nil {
		t.Fatal(r.Err())
	}
	for _, r := range []hosttest.Result{m.Apply(kv.Get("a")), m.Query(kv.Get("a"))} {
		if v, ok, err := kv.DecodeGet(r.Output); err != nil || !ok || string(v) != "1" {
			t.Errorf("got %q %v %v after the upgrade", v, ok, err)
		}
	}
	two := m.ApplyAs(host.ClientID{7}, kv.Count(), kv.Count())
	if len(two) != 2 || two[1].Err() != nil {
		t.Errorf("two inputs of an entry: %+v", two)
	}
}
