package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long one command may take, on a machine that is busy with other tests.
const patience = 3 * time.Minute

// Reader follows pages in a folder of its own.
type Reader struct {
	Dir string
	// Port stands for 4222, and those 2000 and 4000 above it for 6222 and 8222; so do the few after each.
	Port int

	root     string // of the tree
	config   string // folder of users' configuration
	env      []string
	terminal *terminal
}

// Options of a reader.
type Options struct {
	Root string // of the tree, relative to the test; required
	Dir  string // where the pages are followed; "" is a new folder
	// Clone shows the tree's guests in Dir, as a clone of it has them.
	Clone bool
	// Alone is for pages with one node, which needs no configuration.
	Alone bool
	Env   []string // beside the test's own
}

// NewReader prepares to follow pages. What they start ends with the test.
func NewReader(t testing.TB, o Options) *Reader {
	t.Helper()
	root, err := filepath.Abs(o.Root)
	if err != nil {
		t.Fatal(err)
	}
	r := &Reader{Dir: o.Dir, Port: freePort(t), root: root, config: t.TempDir()}
	if r.Dir == "" {
		r.Dir = t.TempDir()
	}
	if o.Clone {
		if err := os.Symlink(filepath.Join(root, "guests"), filepath.Join(r.Dir, "guests")); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(os.Environ(), "PATH="+filepath.Dir(command(t, root))+string(os.PathListSeparator)+os.Getenv("PATH"),
		"XDG_CONFIG_HOME="+r.config, "ROOT="+root)
	if o.Alone {
		r.env = append(r.env, fmt.Sprintf("LOCKSTEP_URL=nats://127.0.0.1:%d", r.Port))
	}
	r.env = append(r.env, o.Env...)
	if err := install(command(t, root), r.Dir); err != nil {
		t.Fatal(err)
	}
	if r.terminal, err = open(r.Dir, r.env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.terminal.close)
	return r
}

// install puts the command where pages have it: in bin.
func install(built, dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	return os.Symlink(built, filepath.Join(bin, "lockstep"))
}

var built struct {
	once sync.Once
	path string
	err  error
}

// command builds the command once a test process and returns its path. It is
// in a folder of its own, which is left to the system to clean, as the go command's are.
func command(t testing.TB, root string) string {
	t.Helper()
	built.once.Do(func() {
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-pages-%d", os.Getuid()))
		if built.err = os.MkdirAll(dir, 0o700); built.err != nil {
			return
		}
		var private string
		if private, built.err = os.MkdirTemp(dir, "bin-"); built.err != nil {
			return
		}
		built.path = filepath.Join(private, "lockstep")
		c := exec.Command("go", "build", "-o", built.path, "./cmd/lockstep")
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err == nil {
		built.err = dependOn(root)
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// dependOn opens the sources: the go command keeps a test's result until a file changes that the
// test has opened, and these are opened by the build alone.
func dependOn(root string) error {
	return filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			_, err = os.ReadFile(name)
		}
		return err
	})
}

// Main runs a package's tests and removes what they have built.
func Main(m *testing.M) int {
	code := m.Run()
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	return code
}

// freePort finds a port so that it, those 2000 and 4000 above it and some after each are free. It is
// below those that the system gives to connections that go out.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(18_000)
		if free(port, port+2000, port+4000) {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func free(bases ...int) bool {
	for _, base := range bases {
		for i := range spread {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				return false
			}
			_ = l.Close()
		}
	}
	return true
}

// spread is how many ports after a base are a page's.
const spread = 4

var (
	founds = regexp.MustCompile(`(lockstep init [\w./-]+)`)
	ports  = regexp.MustCompile(`\b([468]22[2-5])\b`)
	builds = regexp.MustCompile(`go build -o (\S+) (\./cmd/lockstep)`)
	alone  = regexp.MustCompile(`lockstep node( *)$`)
	starts = regexp.MustCompile(`(?m)(lockstep node --config .*& done)$`)
)

// awaited has three nodes answer before the next command is run: on a busy machine they may take longer
// to find each other than commands wait.
const awaited = `; for try in $$(seq 600); do [ "$$(bin/lockstep status 2>/dev/null | grep -c nats://)" = 3 ] && break; sleep 0.2; done`

// adapt is a command as it is run: see the package's comment.
func (r *Reader) adapt(command string) string {
	command = ports.ReplaceAllStringFunc(command, func(text string) string {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err) // the pattern has digits alone
		}
		return strconv.Itoa(n - 4222 + r.Port)
	})
	command = founds.ReplaceAllString(command, fmt.Sprintf("$1 --port %d", r.Port))
	command = builds.ReplaceAllString(command, `(mkdir -p "$$(dirname $1)"; rm -f $1; out=$$PWD/$1; cd "$$ROOT"; go build -o "$$out" $2)`)
	command = starts.ReplaceAllString(command, "$1"+awaited)
	return alone.ReplaceAllString(command, fmt.Sprintf("lockstep node --listen 127.0.0.1:%d --http 127.0.0.1:%d", r.Port, r.Port+4000))
}

// plain is output as the page would have it: with the ports of the page.
func (r *Reader) plain(output string) string {
	return regexp.MustCompile(`\b\d{5}\b`).ReplaceAllStringFunc(output, func(text string) string {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err) // the pattern has digits alone
		}
		if at := n - r.Port; at >= 0 && at%2000 < spread && at/2000 < 3 {
			return strconv.Itoa(4222 + at)
		}
		return text
	})
}

// Follow follows a page to its end.
func (r *Reader) Follow(t testing.TB, p Page) {
	t.Helper()
	if err := r.follow(t, p); err != nil {
		t.Fatal(err)
	}
}

func (r *Reader) follow(t testing.TB, p Page) error {
	t.Helper()
	said := ""
	for _, b := range p.Blocks {
		at := fmt.Sprintf("%s:%d", p.Path, b.Line)
		var err error
		if b.Language == "output" {
			if !Match(b.Text, said) {
				err = fmt.Errorf("the block before it prints\n%s\nand not\n%s", said, b.Text)
			}
		} else {
			said, err = r.Do(b)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		t.Logf("%s: %s done", at, b.Language)
	}
	return nil
}

// Do does what one block says, and returns what it printed.
func (r *Reader) Do(b Block) (said string, err error) {
	switch {
	case b.value("file=") != "":
		return "", r.write(b.value("file="), b.Text)
	case b.value("in=") != "":
		return "", r.find(b.value("in="), b.Text)
	case b.Language == "diff":
		return r.run("git apply --recount -", b.Text)
	case b.Language == "console":
		return "", r.converse(b.Text)
	case b.Language != "sh" || b.has("install") || b.has("elsewhere"):
		return "", nil
	case b.has("terminals"):
		return "", r.terminals(b.Text)
	}
	return r.run(b.Text, "")
}

func (r *Reader) write(name, text string) error {
	path := filepath.Join(r.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// find wants a text in a file.
func (r *Reader) find(name, text string) error {
	all, err := os.ReadFile(filepath.Join(r.Dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	if !strings.Contains(string(all), text) {
		return fmt.Errorf("%s has no such text", name)
	}
	return nil
}

// Run runs a command in the reader's terminal and returns what it prints.
func (r *Reader) Run(command string) (string, error) { return r.run(command, "") }

func (r *Reader) run(command, typed string) (string, error) {
	out, err := r.terminal.run(r.adapt(command), typed)
	out = r.plain(out)
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", strings.TrimSpace(command), err, out)
	}
	return out, nil
}

func (r *Reader) converse(text string) error {
	steps, err := console(text)
	if err != nil {
		return err
	}
	for _, s := range steps {
		var got string
		if strings.Contains(s.command, "lockstep status") {
			got, err = r.Await(s.command, s.want)
		} else {
			got, err = r.run(s.command, s.typed)
		}
		if err != nil {
			return err
		}
		if s.want != "" && !Match(s.want, got) {
			return fmt.Errorf("%sprints\n%s\nand not\n%s", s.command, got, s.want)
		}
	}
	return nil
}

// Await runs a command that looks at a moment until it prints what is claimed, or patience
// is out, and returns what it printed last.
func (r *Reader) Await(command, want string) (got string, err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if got, err = r.run(command, ""); err != nil || want == "" || Match(want, got) || time.Now().After(deadline) {
			return got, err
		}
	}
}

// terminals starts commands in terminals of their own.
func (r *Reader) terminals(text string) error {
	var waits []func() error
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			wait, err := r.terminal.beside(r.adapt(line))
			if err != nil {
				return err
			}
			waits = append(waits, wait)
		}
	}
	var failed error
	for _, wait := range waits {
		failed = errors.Join(failed, wait())
	}
	return failed
}
