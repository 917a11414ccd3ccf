package breaks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command is the command itself, as operators have it.
type command struct {
	t    *testing.T
	path string
	urls []string
}

func (p *processes) command() *command { return buildCommand(p.t, p.URLs()...) }

func buildCommand(t *testing.T, urls ...string) *command {
	t.Helper()
	c := &command{t, filepath.Join(t.TempDir(), "lockstep"), urls}
	if out, err := exec.Command("go", "build", "-o", c.path, "lockstep/cmd/lockstep").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	return c
}

// run returns all that the command prints, and whether it says that all is well.
func (c *command) run(args ...string) (out string, ok bool) {
	c.t.Helper()
	run := exec.CommandContext(within(c.t, patience), c.path, append(args, "--server", strings.Join(c.urls, ","))...)
	run.Env = append(os.Environ(), "XDG_CONFIG_HOME="+c.t.TempDir())
	text, err := run.CombinedOutput()
	return string(text), err == nil
}
