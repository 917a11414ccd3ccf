package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"lockstep/guests/examples/kv"
)

// asking are the commands that ask a cluster, each as somebody types it, and whether it takes an operator's key.
var asking = []struct {
	args     string
	operator bool
}{
	{"call kv x", false}, {"query kv x", false}, {"subscribe kv -n 1", false}, {"verify proof --machine kv", false},
	{"status", true}, {"status kv", true}, {"top --once --every 100ms", true}, {"log kv", true}, {"describe kv", true}, {"evidence kv", true},
	{"deploy other kv.wasm", true}, {"upgrade kv kv.wasm", true}, {"checkpoint make kv", true}, {"doctor kv", true},
	{"join kv n1", true}, {"quit kv n1", true}, {"replace kv n1 n2", true}, {"recover kv", true},
}

// offline are the commands that ask nobody, or have a cluster of their own.
var offline = []string{"new", "build", "bundle", "check", "instrument", "test", "dev", "init", "node", "demo", "version", "exit-codes",
	"config print", "config check", "checkpoint list", "checkpoint verify", "checkpoint export", "checkpoint import",
	"context add", "context select", "context ls", "context show", "context rm"}

// Whoever a server does not know, or does not let do a thing, is told so and what to do, by every command that asks one.
func TestWrongCredentials(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.must("init", "c", "--use", "c", "--nodes", "n1", "--port", fmt.Sprint(n.port))
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(0, 9) })
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"kv.wasm": kv.V2, "stranger.nk": seed} {
		if err := os.WriteFile(filepath.Join(n.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.must("deploy", "kv", "kv.wasm")
	n.must("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Put("a", nil)), "--certificate", "proof")
	asked := make(map[string]bool)
	for _, a := range asking {
		args := strings.Fields(a.args)
		c, _, err := command(&remote{}).Find(args)
		if err != nil {
			t.Fatal(err)
		}
		asked[strings.TrimPrefix(c.CommandPath(), "lockstep ")] = true
		// Without a context of this cluster's, nobody is named.
		_, errs, code := n.lockstep(append(args, "--server", n.url())...)
		if want := "the server does not know this user: name its key with --nkey FILE"; code != exitUnreachable || !strings.Contains(errs, want) {
			t.Errorf("%s, of nobody: exit code %d, %s, want %s", a.args, code, errs, want)
		}
		_, errs, code = n.lockstep(append(args, "--nkey", "stranger.nk")...)
		if code != exitUnreachable || !strings.Contains(errs, "the server does not know this user") {
			t.Errorf("%s, of a stranger: exit code %d, %s", a.args, code, errs)
		}
		if !a.operator {
			continue
		}
		_, errs, code = n.lockstep(append(args, "--nkey", filepath.Join("c", "client.nk"))...)
		if code != exitUnreachable || !strings.Contains(errs, "do not let this user publish to") || !strings.Contains(errs, "admin.nk") {
			t.Errorf("%s, of a client: exit code %d, %s", a.args, code, errs)
		}
	}
	if _, errs, code := n.lockstep("doctor", "kv", "--system-nkey", filepath.Join("c", "client.nk")); code != exitUsage || !strings.Contains(errs, "no key of the servers' system account") {
		t.Errorf("doctor with another's key for the system account: exit code %d, %s", code, errs)
	}
	for _, path := range offline {
		asked[path] = true
	}
	everyCommand(command(&remote{}), func(c *cobra.Command) {
		if path := strings.TrimPrefix(c.CommandPath(), "lockstep "); c.Runnable() && !c.HasSubCommands() && !asked[path] {
			t.Errorf("%s: is it one that asks a cluster?", path)
		}
	})
}

// Every command refuses flags that it has not, and more arguments than it takes, with the exit code of that.
func TestEveryCommandRefuses(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir()}
	everyCommand(command(&remote{}), func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		_, errs, code := n.lockstep(append(path, "--nonsense")...)
		if code != exitUsage || !strings.Contains(errs, "unknown flag: --nonsense") {
			t.Errorf("%v --nonsense: exit code %d, %s", path, code, errs)
		}
		if strings.Contains(c.Use, "...") || !c.Runnable() {
			return
		}
		_, errs, code = n.lockstep(append(path, "a", "b", "c", "d", "e")...)
		if code != exitUsage || !strings.Contains(errs, "see 'lockstep help "+strings.Join(path, " ")+"'") {
			t.Errorf("%v with five arguments: exit code %d, %s", path, code, errs)
		}
	})
}
