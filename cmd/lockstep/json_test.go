package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"lockstep/guests/examples/kv"
)

// spoken is a command line that is run with --json, and how it ends.
type spoken struct {
	args string
	code int
}

// speaks has a row for each command: what is printed for it must be JSON, in this order, on one node.
var speaks = []spoken{
	{"new go project", exitOK}, {"build project", exitOK}, {"test project/guest.wasm project/tests/guest.txtar", exitOK},
	{"check kv.wasm", exitOK}, {"check kv.wasm --explain", exitOK}, {"instrument kv.wasm -o out.wasm", exitOK},
	{"bundle kv.wasm script.js js.wasm", exitFailed}, // the engine takes another compiler
	{"init cluster", exitOK}, {"config print", exitOK}, {"config check -c cluster/n1/node.toml", exitOK}, {"version", exitOK},
	{"context add east", exitOK}, {"context select east", exitOK}, {"context show", exitOK}, {"context show east", exitOK}, {"context ls", exitOK}, {"context rm east", exitOK},
	{"deploy counter counter.wasm", exitOK}, {`call counter ["add",3] -i json --certificate proof`, exitOK}, {`query counter ["get"] -i json`, exitOK},
	{"subscribe counter -n 1 --from 1", exitOK}, {"verify proof --machine counter", exitOK}, {"describe counter", exitOK}, {"describe counter.wasm", exitOK},
	{"status", exitOK}, {"status counter", exitOK}, {"evidence counter", exitOK}, {"top --once --every 100ms", exitOK}, {"log counter", exitOK}, {"upgrade counter other.wasm", exitOK},
	{"checkpoint make counter", exitOK},
	{"doctor counter", exitFailed},                                                                                                                           // one copy is one too few
	{"join counter n9", exitUnreachable}, {"quit counter local", exitFailed}, {"replace counter local n9", exitUnreachable}, {"recover counter", exitFailed}, // TestMembers and TestRecover have them done
}

// stopped are spoken of a node's data, once it runs no longer.
var stopped = []spoken{
	{"checkpoint list --data data", exitOK}, {"checkpoint verify --data data", exitOK}, {"checkpoint export --data data --output state", exitOK},
	{"checkpoint verify state", exitOK}, {"checkpoint import state --data data", exitOK},
}

// mute are the commands that speak no JSON or are spoken of elsewhere, and why.
var mute = map[string]string{
	"node":                  "is started by this test, which reads what it says",
	"demo":                  "demo.txtar",
	"dev":                   "a prompt for a person; a program uses the other commands against the server that it prints",
	"exit-codes":            "a page of help",
	"help":                  "a page of help",
	"completion bash":       "a script for a shell",
	"completion zsh":        "a script for a shell",
	"completion fish":       "a script for a shell",
	"completion powershell": "a script for a shell",
}

// Each command prints JSON for --json, when it is done and when it fails, or is listed with a reason.
func TestEveryCommandSpeaksJSON(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.copyCounter()
	for name, data := range map[string][]byte{"kv.wasm": kv.V1, "script.js": []byte("register({})")} {
		if err := os.WriteFile(filepath.Join(n.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.alone()
	said := make(map[string]bool)
	for _, s := range speaks {
		said[n.speak(s)] = true
	}
	n.end(0, syscall.SIGTERM)
	for _, s := range stopped {
		said[n.speak(s)] = true
	}
	root := command(&remote{})
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	everyCommand(root, func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "lockstep ")
		if _, reason := mute[path]; c.Runnable() && !c.HasSubCommands() && !said[path] && !reason {
			t.Errorf("%s: no row has its JSON, and no reason why it has none", path)
		}
	})
}

// everyCommand visits the commands below one.
func everyCommand(c *cobra.Command, visit func(*cobra.Command)) {
	for _, below := range c.Commands() {
		visit(below)
		everyCommand(below, visit)
	}
}

// copyCounter puts the counter of two languages where commands find it.
func (n *processes) copyCounter() {
	n.t.Helper()
	for name, from := range map[string]string{"counter.wasm": "counter/counter-c.wasm", "other.wasm": "counter/counter-rust.wasm"} {
		wasm, err := os.ReadFile(filepath.Join("../../guests/examples", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(n.dir, name), wasm, 0o600)
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
}

// alone starts a node that is a cluster of its own.
func (n *processes) alone() {
	n.t.Helper()
	c := exec.Command(os.Args[0], "node", "--data", filepath.Join(n.dir, "data"), "--listen", fmt.Sprintf("127.0.0.1:%d", n.port), "--http", "", "--name", "local", "--log-level", "error", "--json")
	c.Env, c.Stderr = append(os.Environ(), envMain+"=1"), n.t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmds[0] = c
	n.t.Cleanup(func() { n.end(0, syscall.SIGKILL) })
	var ready struct {
		Node  string
		Ready bool
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil || ready.Node != "local" || !ready.Ready {
		n.t.Fatalf("node says %+v, %v", ready, err)
	}
}

// url is where the first node's server listens.
func (n *processes) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

// speak runs a command with --json and returns its path.
func (n *processes) speak(s spoken) string {
	n.t.Helper()
	args := strings.Fields(s.args)
	out, errs, code := n.lockstep(append(args, "--json", "--server", n.url())...)
	if code != s.code {
		n.t.Errorf("%s: exit code %d, want %d\n%s%s", s.args, code, s.code, out, errs)
	}
	values, d := 0, json.NewDecoder(strings.NewReader(out))
	for ; ; values++ {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			n.t.Errorf("%s prints no JSON: %v\n%s", s.args, err, out)
			break
		}
	}
	if values == 0 {
		n.t.Errorf("%s prints nothing", s.args)
	}
	c, _, err := command(&remote{}).Find(args)
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.TrimPrefix(c.CommandPath(), "lockstep ")
}
