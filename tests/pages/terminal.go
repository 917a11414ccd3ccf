package pages

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// terminal is a bash that is told over a pipe which file to run next, and says over
// another how that went. Commands so have a standard input of their own.
type terminal struct {
	dir, scripts string // where commands run; where they are kept
	env          []string
	cmd          *exec.Cmd
	say          io.WriteCloser
	hear         *bufio.Reader
	steps        int
	others       []*exec.Cmd
}

// loop is what the bash does. A command that fails ends it, and with it the pipe.
const loop = `set -e
while read -r step <&3; do
	. "$step" <"$step.in" >"$step.out" 2>&1 3<&- 4>&-
	echo done >&4
done`

func open(dir string, env []string) (*terminal, error) {
	scripts, err := os.MkdirTemp("", "pages-")
	if err != nil {
		return nil, err
	}
	t := &terminal{dir: dir, scripts: scripts, env: env, cmd: exec.Command("bash", "-c", loop)}
	t.cmd.Dir, t.cmd.Env = dir, env
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	steps, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	hear, done, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t.cmd.ExtraFiles = []*os.File{steps, done}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bash: %w", err)
	}
	_, _ = steps.Close(), done.Close() // the child has its own
	t.say, t.hear = say, bufio.NewReader(hear)
	return t, nil
}

// file is a new file of the terminal's.
func (t *terminal) file(text string) (string, error) {
	t.steps++
	name := filepath.Join(t.scripts, fmt.Sprint(t.steps))
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// run runs a command and returns what it prints.
func (t *terminal) run(command, typed string) (string, error) {
	script, err := t.file(command)
	if err == nil {
		err = os.WriteFile(script+".in", []byte(typed), 0o600)
	}
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(t.say, script); err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := t.hear.ReadString('\n')
		ended <- err
	}()
	select {
	case err = <-ended:
		if err != nil {
			err = errors.New("fails")
		}
	case <-time.After(patience):
		err = fmt.Errorf("does not end in %v", patience)
		t.kill()
	}
	out, _ := os.ReadFile(script + ".out") // none: nothing was printed
	return aside.ReplaceAllString(string(out), ""), err
}

// aside is what is printed beside what a command has to say: bash's word of a job that a page has killed, and, on a slow
// machine, a command's that it waits for nodes which are being started.
var aside = regexp.MustCompile(`(?m)^(\S+: line \d+: +\d+ Killed .*|waiting for (the nodes|a server at \S+))\n`)

// beside runs a command in a terminal of its own, until the end. wait returns when it says
// that it is ready.
func (t *terminal) beside(command string) (wait func() error, err error) {
	script, err := t.file("exec " + command)
	if err != nil {
		return nil, err
	}
	said, err := os.Create(script + ".out")
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }() // the child has its own
	c := exec.Command("bash", script)
	c.Dir, c.Env, c.Stdout, c.Stderr = t.dir, t.env, said, said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return nil, err
	}
	t.others = append(t.others, c)
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	return func() error { return ready(command, said.Name(), ended) }, nil
}

// ready waits until a command has printed that it is.
func ready(command, path string, ended <-chan error) error {
	late := time.After(patience)
	for {
		said, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(said), " ready") {
			return nil
		}
		select {
		case err := <-ended:
			said, _ = os.ReadFile(path) // all of it
			return fmt.Errorf("%s: ended before it was ready: %w\n%s", command, err, said)
		case <-late:
			return fmt.Errorf("%s: not ready in %v\n%s", command, patience, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill ends all that the terminals have started.
func (t *terminal) kill() {
	for _, c := range append(t.others, t.cmd) {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // fails if nothing is left
	}
}

func (t *terminal) close() {
	t.kill()
	_ = t.say.Close()
	_ = t.cmd.Wait()
	_ = os.RemoveAll(t.scripts)
}
