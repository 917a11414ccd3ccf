package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/cmd/lockstep/screen/screentest"
)

// The command on a terminal, of a node that runs and then does not: it shows both, goes on, and ctrl-C ends it well.
func TestTopOnATerminal(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.alone()
	p := screentest.OpenPty(t, 80, 10)
	before := p.Mode(t)
	c := exec.Command(os.Args[0], "top", "--every", "100ms", "--timeout", "2s", "--server", n.url())
	c.Env = append(os.Environ(), envMain+"=1")
	c.Stdin, c.Stdout, c.Stderr = p.Program, p.Program, t.Output()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	shows := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(patience); !strings.Contains(p.Text(), what); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				_ = c.Process.Kill()
				t.Fatalf("it does not show %q, but\n%s", what, p.Text())
			}
		}
	}
	shows("no machine is deployed")
	n.end(0, syscall.SIGKILL)
	shows("no server")
	p.Press(t, "\x03")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ctrl-C: %v, want exit code 0", err)
		}
	case <-time.After(patience):
		_ = c.Process.Kill()
		t.Fatal("ctrl-C does not end it")
	}
	if p.Mode(t) != before {
		t.Error("the terminal's mode is another one")
	}
	for deadline := time.Now().Add(patience); p.Left() != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it left %s", p.Left())
		}
	}
}
