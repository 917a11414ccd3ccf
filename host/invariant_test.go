package host_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// guarded is the guest with an invariant, with bytes of its data changed: what init sets, and what load adds.
func guarded(t testing.TB, start, bias string) []byte {
	t.Helper()
	wasm, err := os.ReadFile("guesttest/testdata/invariant.wasm")
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(wasm, []byte("bias \x00 start \x00"), []byte("bias "+bias+" start "+start), 1)
	if start+bias != "\x00\x00" && bytes.Equal(changed, wasm) {
		t.Fatal("the guest has no such place")
	}
	return changed
}

func upgradeTo(b *bench, wasm []byte) host.Receipt {
	b.t.Helper()
	d := host.ModuleDigest(wasm)
	_, r := b.apply(control(uint64(len(b.log)+10), host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: d, Holders: holdings(d, "a", "b")})))
	return r[0]
}

// The guest says when its state is as it must not be; asking changes nothing, whatever it does.
func TestInvariant(t *testing.T) {
	even := guarded(t, "\x00", "\x00")
	b := deployed(t, newWorld(t, even), even)
	number := uint64(0)
	for _, tc := range []struct {
		add  byte
		want string
	}{
		{2, ""}, {1, "it is odd (code 9)"}, {1, ""}, {96, "it cannot be asked: out of gas"}, {2, ""},
	} {
		number++
		if _, r := b.apply(batch(0, number, []byte{tc.add})); r[0].Status != wasmabi.OK {
			t.Fatalf("add %d: %+v: the invariant must change no outcome", tc.add, r[0])
		}
		before, root := b.MemoryAndGlobals(), b.Root()
		for range 2 {
			if why, _ := b.Invariant(); why != tc.want {
				t.Errorf("after add %d: %q, want %q", tc.add, why, tc.want)
			}
		}
		if b.MemoryAndGlobals() != before || b.Root() != root {
			t.Errorf("after add %d: asking changed the state", tc.add)
		}
	}
	plain := deployed(t, newWorld(t, probe(t)), probe(t))
	if why, log := plain.Invariant(); why != "" || log != nil {
		t.Errorf("a guest without an invariant: %q, %q", why, log)
	}
	if why, _ := newBench(t, newWorld(t)).Invariant(); why != "" {
		t.Errorf("no guest: %q", why)
	}
}

// No DEPLOY and no UPGRADE breaks an invariant; where one is broken, both the repair and the way back are open.
func TestInvariantOfArrivals(t *testing.T) {
	even, odd, worse := guarded(t, "\x00", "\x00"), guarded(t, "\x01", "\x00"), guarded(t, "\x00", "\x01")
	w := newWorld(t, even, odd, worse)
	b := newBench(t, w)
	_, r := b.apply(control(1, host.ControlDeploy, deployment(odd)))
	if host.Refusal(r[0].Code) != host.RefusedModule || !strings.Contains(string(r[0].Output), "invariant does not hold after init: it is odd") {
		t.Fatalf("deploy of a guest that begins broken: %+v %s", r[0], r[0].Output)
	}
	if _, ok := b.Module(); ok {
		t.Fatal("and yet it is deployed")
	}
	if _, r = b.apply(control(2, host.ControlDeploy, deployment(even))); r[0].Status != wasmabi.OK {
		t.Fatalf("deploy: %+v %s", r[0], r[0].Output)
	}
	before := b.MemoryAndGlobals()
	if r := upgradeTo(b, worse); host.Refusal(r.Code) != host.RefusedUpgrade || !strings.Contains(string(r.Output), "new guest's invariant does not hold: it is odd") {
		t.Errorf("upgrade that breaks it: %+v %s", r, r.Output)
	}
	if module, _ := b.Module(); module != host.ModuleDigest(even) || b.MemoryAndGlobals() != before {
		t.Errorf("the old guest does not go on as it was")
	}
	b.apply(batch(0, 1, []byte{1}))
	for i, wasm := range [][]byte{even, worse} { // the state as it is, and its repair
		if r := upgradeTo(b, wasm); r.Status != wasmabi.OK {
			t.Errorf("upgrade %d of a broken state: %+v %s", i, r, r.Output)
		}
	}
	if why, _ := b.Invariant(); why != "" {
		t.Errorf("after the repair: %s", why)
	}
}

// A query's gas that does not suffice to ask is no word against the state.
func TestInvariantWithoutGas(t *testing.T) {
	odd := guarded(t, "\x01", "\x00")
	b := newBench(t, newWorld(t, odd))
	var d host.Deploy
	if err := host.DeployFormat.Decode(deployment(odd), &d); err != nil {
		t.Fatal(err)
	}
	d.Config.QueryGas = 1
	if _, r := b.apply(control(1, host.ControlDeploy, host.DeployFormat.Encode(d))); r[0].Status != wasmabi.OK {
		t.Errorf("deploy: %+v %s", r[0], r[0].Output)
	}
	if why, _ := b.Invariant(); why != "it cannot be asked: out of gas" {
		t.Errorf("asked at an audit: %q", why)
	}
}
