package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/wasmabi"
)

// A DEPLOY that is refused where it stands in the log is answered with the reason, though there is no machine yet whose voters
// could. Afterwards another one makes the machine.
func TestDeployRefusedInTheLog(t *testing.T) {
	c := start(t, "kv", nil)
	cl := connect(t, c, "kv")
	for _, mode := range []audit.Mode{audit.Majority, audit.Crash, audit.Signed} {
		soon, cancel := context.WithTimeout(t.Context(), patience)
		var trap *client.TrapError
		if _, err := cl.Deploy(soon, testdata(t, "trapstart.wasm"), host.Config{Mode: mode}, voters(c)); !errors.As(err, &trap) ||
			trap.Trap != wasmabi.Unreachable || !strings.Contains(err.Error(), "lockstep_init") {
			t.Errorf("%v, a guest that traps as it comes up: %v", mode, err)
		}
		odd := bytes.Replace(testdata(t, "invariant.wasm"), []byte("start \x00"), []byte("start \x01"), 1)
		if _, err := cl.Deploy(soon, odd, host.Config{Mode: mode}, voters(c)); !isRefused(err, host.RefusedModule) || !strings.Contains(err.Error(), "it is odd") {
			t.Errorf("%v, a guest that begins wrong: %v", mode, err)
		}
		cancel()
	}
	if _, err := cl.Call(within(t, patience), kv.Get("k")); !isRefused(err, host.RefusedNotDeployed) {
		t.Errorf("call before deploy: %v", err)
	}
	deploy(t, c, cl, kv.V1, host.Config{})
	call(t, cl, kv.Put("k", []byte("v")))
	verify(t, c, "kv")
}

// A client that dies before it hears that its DEPLOY was refused asks again as it comes back, and hears it then. Whatever
// it does next in that session is done once.
func TestRefusedDeployIsResumed(t *testing.T) {
	c := start(t, "kv", nil)
	var open []byte // the session with the DEPLOY in it
	o := client.Options{Machine: "kv", URLs: c.URLs(), Save: func(s []byte) error {
		if open == nil {
			open = s
		}
		return nil
	}}
	first := connectWith(t, o)
	var trap *client.TrapError
	if _, err := first.Deploy(within(t, patience), testdata(t, "trapstart.wasm"), host.Config{}, voters(c)); !errors.As(err, &trap) {
		t.Fatalf("a guest that traps as it comes up: %v", err)
	}
	o.Session, o.Save = open, nil
	again := connectWith(t, o)
	if len(again.Resumed()) != 1 {
		t.Fatalf("resumed %d inputs, want the DEPLOY", len(again.Resumed()))
	}
	if _, err := again.Resumed()[0].Wait(within(t, patience)); !errors.As(err, &trap) || trap.Trap != wasmabi.Unreachable {
		t.Errorf("the DEPLOY that is made again: %v", err)
	}
	deploy(t, c, again, kv.V2, host.Config{})
	for want := range int64(3) {
		out, err := again.Call(within(t, patience), kv.Add("n", 1))
		if n, bad := kv.DecodeNumber(out.Bytes); err != nil || bad != nil || n != want+1 {
			t.Errorf("call %d in the session of the refused DEPLOY: %d, %v, %v", want+1, n, err, bad)
		}
	}
	verify(t, c, "kv")
}

// testdata reads a module that no compiler makes.
func testdata(t *testing.T, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../host/guesttest/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
