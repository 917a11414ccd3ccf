package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/guests/examples/kv"
)

// Two of three nodes are gone for ever, with their disks, and replicas may lie. Calls get FAIL; recover says what it would take, restores service
// with everything that the survivor had, and says what may be lost, also later. The survivor starts again alone, and new nodes
// join in the places of those that are gone. The servers have room for one log of the machine and no second one beside it.
func TestRecover(t *testing.T) {
	n := founded(t)
	n.room = "1536MiB"
	n.startAll()
	wasm := filepath.Join(n.dir, "kv.wasm")
	if err := os.WriteFile(wasm, kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	operator := []string{"--operator-nkey", filepath.Join(n.dir, "c", "operator.nk")}
	n.must(append([]string{"deploy", "kv", wasm, "--mode", "signed"}, operator...)...)
	cl := n.client("client.nk")
	n.count(cl, 1, 50)
	proof := n.prove(cl)
	n.must("status", "kv", "--members", "voters")

	n.end(1, syscall.SIGKILL)
	n.end(2, syscall.SIGKILL)
	for _, name := range []string{"n2", "n3"} {
		if err := os.RemoveAll(filepath.Join(n.dir, "c", name, "data")); err != nil {
			t.Fatal(err)
		}
	}
	n.failsTyped(cl)
	var rows []nodeStatus
	if err := json.Unmarshal([]byte(n.must("status", "--json")), &rows); err != nil || len(rows) != 3 || rows[0].Silent || !rows[1].Silent || !rows[2].Silent {
		t.Errorf("status with one node of three: %+v, %v", rows, err)
	}

	system := []string{"--system-nkey", filepath.Join(n.dir, "c", "system.nk")}
	lost := append([]string{"--lost", "n2,n3"}, system...)
	n.refused("recover", "n2: start it, or say that it is gone for ever (--lost)", "kv")
	n.refused("recover", "does not answer", "kv", "--lost", "n3")
	n.refused("recover", "n9 is no voter", "kv", "--lost", "n9")
	n.refused("recover", "n1 is not gone: it answers", "kv", "--lost", "n1,n2,n3")
	n.refused("recover", "nothing was done: say --yes", slices.Concat([]string{"kv"}, lost, operator)...)
	if _, errs, code := n.lockstep(append([]string{"recover", "kv", "--lost", "n2,n3", "--yes"}, operator...)...); code != exitUsage || !strings.Contains(errs, "--system-nkey") {
		t.Errorf("without the servers' login: exit code %d, %s", code, errs)
	}
	if _, errs, code := n.lockstep(append([]string{"recover", "kv", "--yes"}, lost...)...); code != exitUsage || !strings.Contains(errs, "was deployed with operator's key U") {
		t.Errorf("without the operator's key: exit code %d, %s", code, errs)
	}
	out := n.must(slices.Concat([]string{"recover", "kv", "--yes", "--reason", "the hall burned"}, lost, operator)...)
	for _, want := range []string{"kv would go on after seq", "n2 is gone", "n3 is gone", "kv goes on in epoch 1001"} {
		if !strings.Contains(out, want) {
			t.Errorf("recover does not say %q:\n%s", want, out)
		}
	}
	n.count(cl, 51, 60) // the client that was there before follows
	n.told(t, proof)

	// Alone it needs nobody to start.
	n.end(0, syscall.SIGKILL)
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	n.count(cl, 61, 70)
	n.refused("recover", "no recovery is needed", "kv")

	n.rename(1, "n4")
	n.rename(2, "n5")
	for i, name := range []string{1: "n4", 2: "n5"} {
		if i == 0 {
			continue
		}
		if err := <-n.start(i); err != nil {
			t.Fatal(err)
		}
		n.joined(name, system)
	}
	n.count(cl, 71, 80)
	n.awaitVoting("kv")
	n.end(0, syscall.SIGKILL) // what the survivor had, the others have now
	n.count(cl, 81, 90)
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	n.awaitVoting("kv")
}

// joined has a node join. Servers that have just found each other elect, and a command that they do not answer meanwhile is
// given again.
func (n *processes) joined(name string, system []string) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		out, errs, code := n.lockstep(append([]string{"join", "kv", name, "--timeout", "90s"}, system...)...)
		if code == exitOK {
			return
		}
		if code != exitUnreachable || time.Now().After(deadline) {
			n.t.Fatalf("join %s: exit code %d, %s%s", name, code, out, errs)
		}
		n.t.Logf("join %s: %s", name, errs)
	}
}

// count adds to one number, of which every answer must be the count so far.
func (n *processes) count(cl *client.Client, from, to int64) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for want := from; want <= to; want++ {
		out, err := cl.Call(ctx, kv.Add("n", 1))
		if err != nil {
			n.t.Fatalf("call %d: %v", want, err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
			n.t.Fatalf("the count is %d, %v, want %d", got, err, want)
		}
	}
}

// prove keeps the certificate of a call.
func (n *processes) prove(cl *client.Client) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	out, err := cl.Call(ctx, kv.Add("n", 0))
	if err != nil {
		n.t.Fatal(err)
	}
	path := filepath.Join(n.dir, "proof")
	if err := os.WriteFile(path, out.Certificate(), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// failsTyped wants a call without a majority to say that its outcome is open. It changes nothing, in whichever life.
func (n *processes) failsTyped(cl *client.Client) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Second)
	defer cancel()
	var open *client.FailError
	if _, err := cl.Call(ctx, kv.Add("n", 0)); !errors.As(err, &open) {
		n.t.Errorf("call without a majority: %v, want FAIL", err)
	}
	if _, errs, code := n.lockstep("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Add("n", 0)), "--timeout", "2s"); code != exitOpen {
		n.t.Errorf("call without a majority: exit code %d, %s", code, errs)
	}
}

// refused wants a command to fail with a reason.
func (n *processes) refused(command, reason string, args ...string) {
	n.t.Helper()
	out, errs, code := n.lockstep(append([]string{command}, args...)...)
	if code != exitFailed || !strings.Contains(errs, reason) {
		n.t.Errorf("lockstep %s %v: exit code %d, want %d and %q:\n%s%s", command, args, code, exitFailed, reason, out, errs)
	}
}

// told wants everybody who asks to be told that the epoch began on an operator's word.
func (n *processes) told(t *testing.T, proof string) {
	t.Helper()
	for _, want := range []string{"epoch 1001 began after seq", "the hall burned", "n2 is gone"} {
		if out := n.must("status", "kv"); !strings.Contains(out, want) {
			t.Errorf("status does not say %q:\n%s", want, out)
		}
	}
	var rows []replicaStatus
	if err := json.Unmarshal([]byte(n.must("status", "kv", "--json")), &rows); err != nil || len(rows) != 1 || len(rows[0].Recoveries) != 1 || rows[0].Recoveries[0].From != "n1" {
		t.Errorf("status --json: %v, %+v", err, rows)
	}
	if out := n.must("verify", proof, "--members", "voters", "--machine", "kv"); !strings.Contains(out, "valid: ") || !strings.Contains(out, "epoch 1001 began after seq") {
		t.Errorf("verify says %q", out)
	}
	n.must("log", "kv")
}

// rename gives a node that does not run, and has no disk, another name.
func (n *processes) rename(i int, name string) {
	n.t.Helper()
	path := filepath.Join(n.dir, "c", fmt.Sprintf("n%d", i+1), "node.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		n.t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^name = .*$`).ReplaceAll(text, fmt.Appendf(nil, "name = %q", name))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		n.t.Fatal(err)
	}
}
