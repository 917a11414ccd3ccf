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

// command builds it.
func (p *processes) command() *command {
	p.t.Helper()
	c := &command{p.t, filepath.Join(p.t.TempDir(), "lockstep"), p.URLs()}
	if out, err := exec.Command("go", "build", "-o", c.path, "lockstep/cmd/lockstep").CombinedOutput(); err != nil {
		p.t.Fatalf("build the command: %v\n%s", err, out)
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
