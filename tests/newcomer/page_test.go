package newcomer

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const root = "../.."

// block is a code block of a page. What its first line says after the fence:
//
//	sh                commands, run one block after the other; a failure ends the test
//	sh background     commands that start what goes on running
//	sh install, other not run
//	output            lines that the block before printed, in this order, among others
//	LANGUAGE FILE     text that stands in that file, if the folder has it
type block struct {
	info, text string
	line       int
}

var fenced = regexp.MustCompile("(?ms)^```([^\n]+)\n(.*?)^```$")

func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	var list []block
	for _, m := range fenced.FindAllSubmatchIndex(text, -1) {
		list = append(list, block{string(text[m[2]:m[3]]), string(text[m[4]:m[5]]), 1 + bytes.Count(text[:m[0]], []byte("\n"))})
	}
	if len(list) == 0 {
		t.Fatalf("%s has no blocks", page)
	}
	return list
}

var (
	buildOnce sync.Once
	buildDir  string
	buildErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(buildDir) // "" if nothing was built
	os.Exit(code)
}

// built is the command, which is linked once for all pages.
func built(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		if buildDir, buildErr = os.MkdirTemp("", "lockstep-newcomer-"); buildErr != nil {
			return
		}
		c := exec.Command("go", "build", "-o", filepath.Join(buildDir, "lockstep"), "./cmd/lockstep")
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	// The go command keeps a test's result until a file changes that the test has opened.
	if err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			_, err = os.ReadFile(name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(buildDir, "lockstep")
}

// reader is somebody who follows a page.
type reader struct {
	t    *testing.T
	page string
	dir  string
	env  []string
	port int
}

// patience bounds a block. Compilers may be cold, and the machine busy.
const patience = 5 * time.Minute

// follow follows a page in an empty folder that has, of the tree, the command's source.
func follow(t *testing.T, page string, env ...string) {
	t.Helper()
	r := &reader{t: t, page: page, dir: t.TempDir(), port: freePorts(t)}
	r.env = append(append(os.Environ(), "BUILT="+built(t), "XDG_CONFIG_HOME="+filepath.Join(r.dir, ".config")), env...)
	list := blocks(t, page)
	if build := "go build -o bin/lockstep"; !slices.ContainsFunc(list, func(b block) bool { return strings.Contains(b.text, build) }) {
		r.shell(block{text: build + " ./cmd/lockstep"}) // as another page said
	}
	if !slices.ContainsFunc(list, func(b block) bool { return strings.Contains(b.text, "lockstep init") }) {
		r.env = append(r.env, fmt.Sprintf("LOCKSTEP_URL=nats://127.0.0.1:%d", r.port)) // a node alone, at the usual address
	}
	for i, b := range list {
		if b.info == "output" {
			continue
		}
		out := r.run(b)
		if i+1 < len(list) && list[i+1].info == "output" {
			r.compare(list[i+1], out)
		}
	}
}

// run does what a block says and returns what that prints.
func (r *reader) run(b block) string {
	r.t.Helper()
	kind, rest, _ := strings.Cut(b.info, " ")
	switch {
	case kind == "sh" && rest == "":
		return r.shell(b)
	case kind == "sh" && rest == "background":
		r.start(b)
	case kind != "sh" && rest != "":
		r.find(b, rest)
	}
	return ""
}

// adapted is a block's text for this tree and for ports that are free.
func (r *reader) adapted(text string) string {
	text = strings.ReplaceAll(text, "go build -o bin/lockstep ./cmd/lockstep", `mkdir -p bin && cp "$BUILT" bin/lockstep`)
	text = strings.ReplaceAll(text, "lockstep init cluster", fmt.Sprintf("lockstep init cluster --port %d", r.port))
	if !strings.Contains(text, "--config") {
		text = strings.ReplaceAll(text, "bin/lockstep node", fmt.Sprintf("bin/lockstep node --listen 127.0.0.1:%d --http 127.0.0.1:%d", r.port, r.port+4000))
	}
	return strings.ReplaceAll(text, ":8222", fmt.Sprint(":", r.port+4000))
}

func (r *reader) command(ctx context.Context, text string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", r.adapted(text))
	c.Dir, c.Env = r.dir, r.env
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	return c
}

func (r *reader) shell(b block) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	c := r.command(ctx, b.text)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		r.t.Fatalf("%s:%d: %v\n%s\n%s%s%s", r.page, b.line, err, b.text, stdout.String(), stderr.String(), r.logs())
	}
	return stdout.String()
}

// start runs what goes on until the test ends.
func (r *reader) start(b block) {
	r.t.Helper()
	c := r.command(context.Background(), b.text+"\nwait\n")
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			r.t.Errorf("%s:%d: what was started does not end", r.page, b.line)
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	})
}

// logs are what nodes in the background wrote.
func (r *reader) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(r.dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&all, "\n%s:\n%s", filepath.Base(f), text)
	}
	return all.String()
}

// compare wants the lines of a block in what was printed, in their order.
func (r *reader) compare(b block, out string) {
	r.t.Helper()
	lines := strings.Split(out, "\n")
	for want := range strings.Lines(b.text) {
		want = strings.TrimSpace(want)
		i := 0
		for i < len(lines) && strings.TrimSpace(lines[i]) != want {
			i++
		}
		if i == len(lines) {
			r.t.Errorf("%s:%d: %q was not printed, or not there:\n%s", r.page, b.line, want, out)
			return
		}
		lines = lines[i+1:]
	}
}

// find wants a block's text in a file that the page is about. Files of the system are not there.
func (r *reader) find(b block, name string) {
	r.t.Helper()
	if !strings.Contains(name, "/") || filepath.IsAbs(name) {
		return
	}
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(text), b.text) {
		r.t.Errorf("%s:%d: %s has no such text", r.page, b.line, name)
	}
}

// freePorts returns the first port of a run as init takes them: three for clients, and those 2000 and
// 4000 above.
func freePorts(t *testing.T) int {
	t.Helper()
	for port := 20000 + os.Getpid()%300*20; port < 28000; port += 20 {
		if free(port, 3) && free(port+2000, 3) && free(port+4000, 3) {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func free(from, n int) bool {
	for p := from; p < from+n; p++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
