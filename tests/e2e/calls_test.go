package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// probe is the guest of the conformance suite, which does what its input says.
func probe(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../host/guesttest/testdata/probe.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Commands of the probe.
func cmd(op byte, args ...uint32) []byte {
	b := []byte{op}
	for _, a := range args {
		b = binary.LittleEndian.AppendUint32(b, a)
	}
	return b
}

// What a caller does wrong, or a guest, is a typed error at the client, and
// nothing stops.
func TestErrorsAtTheClient(t *testing.T) {
	c, cl := deployed(t, "probe", probe(t), host.Config{InputGas: 50_000_000})
	ctx := within(t, patience)

	_, err := client.Connect(ctx, client.Options{Machine: "nobody", URLs: c.URLs()})
	if !errors.Is(err, client.ErrUnknownMachine) {
		t.Errorf("connect to an unknown machine: %v", err)
	}
	_, err = client.Connect(ctx, client.Options{Machine: "not a name", URLs: c.URLs()})
	if err == nil || !strings.Contains(err.Error(), "not a name") {
		t.Errorf("connect to a machine of a bad name: %v", err)
	}
	if _, err := cl.Call(ctx, make([]byte, wasmabi.MaxInput+1)); !errors.Is(err, host.ErrInputTooLarge) {
		t.Errorf("oversized input: %v", err)
	}
	var trapped *client.TrapError
	if _, err := cl.Call(ctx, cmd(3)); !errors.As(err, &trapped) || trapped.Trap != wasmabi.Unreachable {
		t.Errorf("unreachable: %v", err)
	}
	if _, err := cl.Call(ctx, cmd(12)); !errors.As(err, &trapped) || trapped.Trap != wasmabi.DivideByZero {
		t.Errorf("division by zero: %v", err)
	}
	if _, err := cl.Call(ctx, cmd(5)); !errors.As(err, &trapped) || trapped.Trap != wasmabi.StackOverflow {
		t.Errorf("endless recursion: %v", err)
	}
	if _, err := cl.Call(ctx, cmd(4)); !errors.Is(err, client.ErrOutOfGas) {
		t.Errorf("endless loop: %v", err)
	}
	var rejected *client.RejectedError
	if _, err := cl.Call(ctx, cmd(2, 42)); !errors.As(err, &rejected) || rejected.Code != 42 || string(rejected.Output) != "hello" {
		t.Errorf("rejection: %v", err)
	}
	// None of it left a trace: init made 101, and this is the first to count.
	if out := call(t, cl, cmd(1)); binary.LittleEndian.Uint32(out.Bytes) != 102 {
		t.Errorf("count is %d, want 102", binary.LittleEndian.Uint32(out.Bytes))
	}
	// The largest input there may be.
	large := append([]byte{29}, make([]byte, wasmabi.MaxInput-1)...)
	if out := call(t, cl, large); binary.LittleEndian.Uint32(out.Bytes) != wasmabi.MaxInput {
		t.Errorf("largest input: guest saw %v bytes", out.Bytes)
	}
	verify(t, c, "probe")
}

// A module that is no guest is refused with the words that check has for it.
func TestDeployRefuses(t *testing.T) {
	c := start(t, "kv", nil)
	cl := connect(t, c, "kv")
	ctx := within(t, 2*patience)
	for name, bad := range map[string]struct {
		wasm []byte
		want string
	}{
		"text":         {[]byte("#!/bin/sh\necho hello\n"), "not a WebAssembly module"},
		"empty":        {nil, "not a WebAssembly module"},
		"empty module": {[]byte("\x00asm\x01\x00\x00\x00"), "memory"},
		"cut":          {kv.V1[:len(kv.V1)/2], "malformed"},
		"too large":    {make([]byte, wasmabi.MaxModule+1), "at most"},
	} {
		var refused *client.RefusedError
		_, err := cl.Deploy(ctx, bad.wasm, host.Config{}, voters(c))
		if !errors.As(err, &refused) || refused.Refusal != host.RefusedModule || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want refused with %q", name, err, bad.want)
		}
	}
	if _, err := cl.Call(ctx, kv.Get("k")); !isRefused(err, host.RefusedNotDeployed) {
		t.Errorf("call before deploy: %v", err)
	}
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := cl.Deploy(soon, kv.V1, host.Config{}, append(voters(c), "nobody")); err == nil || !strings.Contains(err.Error(), "[nobody]") {
		t.Errorf("a replica that is not there is named: %v", err)
	}
	deploy(t, c, cl, kv.V1, host.Config{})
	if _, err := cl.Deploy(ctx, kv.V1, host.Config{}, voters(c)); !isRefused(err, host.RefusedDeployed) {
		t.Errorf("second deploy: %v", err)
	}
	if _, err := cl.Upgrade(ctx, []byte("no module")); !isRefused(err, host.RefusedModule) {
		t.Errorf("upgrade to no module: %v", err)
	}
	call(t, cl, kv.Put("k", []byte("v")))
	verify(t, c, "kv")
}

func isRefused(err error, why host.Refusal) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Refusal == why
}

// Without a majority the answer is FAIL, never a wrong one; when the majority
// is back, what was asked again is applied once.
func TestFailWithoutMajority(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	call(t, cl, kv.Add("n", 1))
	c.Kill(0)
	c.Kill(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var fail *client.FailError
	if out, err := cl.Call(ctx, kv.Add("n", 10)); !errors.As(err, &fail) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("one of three nodes is left: output %v, err %v, want FAIL", out, err)
	}
	// This one is asked all the while that the majority comes back.
	done := make(chan error, 1)
	go func() {
		_, err := cl.Call(within(t, patience), kv.Add("n", 100))
		done <- err
	}()
	for i := range 2 {
		if err := c.Restart(within(t, patience), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, err := kv.DecodeNumber(call(t, cl, kv.Add("n", 0)).Bytes)
	if err != nil || got != 101 && got != 111 {
		t.Errorf("n is %d, %v, want 101 or, if the failed call was ordered, 111", got, err)
	}
	verify(t, c, "kv")
}

// Every call of many callers is applied exactly once while nodes are killed
// and the client sends again what it has no answer to.
func TestExactlyOnceUnderKills(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{AuditEvery: 16, CheckpointEvery: 64})
	const callers, calls = 16, 60
	var wg sync.WaitGroup
	errs := make(chan error, callers)
	for i := range callers {
		wg.Go(func() {
			key := fmt.Sprintf("n%d", i)
			for n := range calls {
				out, err := cl.Call(within(t, patience), kv.Add(key, 1))
				if err != nil {
					errs <- err
					return
				}
				if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != int64(n+1) {
					errs <- fmt.Errorf("%s: %d after %d additions: %w", key, got, n+1, err)
					return
				}
			}
		})
	}
	for i := range 3 {
		c.Kill(i)
		if err := c.Restart(within(t, patience), i); err != nil {
			t.Fatal(err)
		}
		await(t, "the node to vote again", func() bool { return c.Node(i).Replica("kv").Info().Phase == host.PhaseVoting })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	verify(t, c, ordering.Name("kv"))
}
