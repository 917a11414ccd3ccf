package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lockstep/guests/examples/kv"
)

// The commands that change a membership, on a cluster with accounts as 'lockstep init' makes them: a voter quits and
// joins again, a change that would stop the machine is refused, and the doctor sees what is there.
func TestMembers(t *testing.T) {
	n := founded(t)
	var ready []<-chan error
	for i := range n.cmds {
		ready = append(ready, n.start(i))
	}
	for _, r := range ready {
		if err := <-r; err != nil {
			t.Fatal(err)
		}
	}
	wasm := filepath.Join(n.dir, "kv.wasm")
	if err := os.WriteFile(wasm, kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	n.must("deploy", "kv", wasm)
	voters := func(args ...string) []string {
		t.Helper()
		var out struct{ Voters []string }
		if err := json.Unmarshal([]byte(n.must(append(args, "--json")...)), &out); err != nil {
			t.Fatal(err)
		}
		return out.Voters
	}
	system := filepath.Join(n.dir, "c", "system.nk")
	for _, with := range [][]string{nil, {"--system-nkey", system}} {
		out, _, code := n.lockstep(append([]string{"doctor", "kv"}, with...)...)
		if code != exitFailed || !strings.Contains(out, "copies on 127.0.0.1 is n1, n2, n3") || strings.Count(out, "\n- ")+strings.Count(out, "\n! ") != 0 {
			t.Errorf("doctor %v: exit code %d, want only that all copies are on one computer:\n%s", with, code, out)
		}
	}
	if got := voters("quit", "kv", "n3", "--system-nkey", system); !slices.Equal(got, []string{"n1", "n2"}) {
		t.Errorf("voters are %v after n3 has quit", got)
	}
	if got := voters("join", "kv", "n3", "--system-nkey", system); !slices.Equal(got, []string{"n1", "n2", "n3"}) {
		t.Errorf("voters are %v after n3 has joined", got)
	}
	_, errs, code := n.lockstep("quit", "kv", "n3", "--forget", "--system-nkey", system)
	if code != exitFailed || !strings.Contains(errs, "stop its node first") {
		t.Errorf("forget a node that runs: exit code %d, %s", code, errs)
	}
	voters("join", "kv", "n3", "--system-nkey", system)
	n.end(1, syscall.SIGKILL)
	_, errs, code = n.lockstep("quit", "kv", "n3")
	if code != exitFailed || !strings.Contains(errs, "too few voters") {
		t.Errorf("quit one of the two that are left: exit code %d, %s", code, errs)
	}
	_, errs, code = n.lockstep("join", "kv", "nobody")
	if code == exitOK || !strings.Contains(errs, "no node of that name") {
		t.Errorf("join nobody: exit code %d, %s", code, errs)
	}
}
