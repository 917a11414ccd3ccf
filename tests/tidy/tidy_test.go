package tidy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// pkg is what the go command says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Name       string
	Imports    []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out := command(t, "go", "list", "-json=ImportPath,Doc,Name,Imports,GoFiles,Dir", "./...")
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = root
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// within reports whether an import path is the package or one below it.
func within(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// rules say who may import what: a package that matches from may import what
// matches of only if it is in the list.
var rules = []struct {
	of     string   // the imported package, and what is below
	only   []string // importers, and what is below them
	reason string
}{
	{"github.com/tetratelabs/wazero", []string{"lockstep/host/engine", "lockstep/tests"},
		"the engine is one package's affair, so that another can take its place"},
	{"github.com/nats-io", []string{"lockstep/ordering/jetstream", "lockstep/snapshot/transfer", "lockstep/client", "lockstep/host/node", "lockstep/host/local", "lockstep/tests"},
		"NATS is at the edge"},
	{"github.com/cockroachdb/pebble", []string{"lockstep/snapshot/store"}, "the store is one package's affair"},
	{"lockstep/host/engine", []string{"lockstep/host/engine", "lockstep/host/node", "lockstep/host/local", "lockstep/cmd", "lockstep/tests"},
		"the machine knows a Guest, not an engine"},
	{"lockstep/host/node", []string{"lockstep/host/node", "lockstep/host/local", "lockstep/cmd", "lockstep/tests"},
		"imports point one way: cmd and tests, then node, then the pure core"},
	{"lockstep/client", []string{"lockstep/client", "lockstep/cmd", "lockstep/tests"},
		"imports point one way: nothing below the client knows it"},
	{"lockstep/host", []string{"lockstep/host", "lockstep/client", "lockstep/cmd", "lockstep/tests"},
		"imports point one way: ordering, audit, snapshot and wasmabi know no machine"},
	{"lockstep/cmd", []string{"lockstep/cmd", "lockstep/tests"}, "commands are not a library"},
	{"lockstep/tests", []string{"lockstep/tests"}, "tests are not a library"},
}

func TestImportDirection(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, rule := range rules {
				if within(imported, rule.of) && !allowed(p.ImportPath, rule.only) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.reason)
				}
			}
		}
	}
}

func allowed(importer string, list []string) bool {
	for _, a := range list {
		if within(importer, a) {
			return true
		}
	}
	return false
}

// pure lists the packages whose results depend on receiver and arguments alone.
var pure = []string{
	"lockstep/wasmabi", "lockstep/wasmabi/instrument", "lockstep/audit", "lockstep/audit/canonical",
	"lockstep/snapshot", "lockstep/host", "lockstep/ordering",
}

// world is what a pure package does without. ordering has context for the seam
// that adapters implement, and time for a conversion.
var world = []string{"os", "net", "sync", "math/rand", "crypto/rand", "context", "time", "runtime", "syscall", "log", "io/fs", "golang.org/x/sys"}

func TestPurePackagesAreCutOff(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		if !contains(pure, p.ImportPath) {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			for _, w := range world {
				excused := p.ImportPath == "lockstep/ordering" && (imported == "context" || imported == "time")
				if within(imported, w) && !excused {
					t.Errorf("%s imports %s: a pure package has no clock, randomness, file, network, environment or goroutine", p.ImportPath, imported)
				}
			}
		}
	}
	if seen != len(pure) {
		t.Errorf("found %d of the %d pure packages: is the list stale?", seen, len(pure))
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

var vague = regexp.MustCompile(`(^|/)(utils?|common|types|helpers?|models?|misc|shared)(/|$)`)

func TestPackagesAreNamedAndDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if vague.MatchString(p.ImportPath) {
			t.Errorf("%s: a homeless function means a missing concept; name the concept", p.ImportPath)
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment: it is the design of the package", p.ImportPath)
		}
	}
}

const (
	wall    = 700 // lines of a file
	readme  = 150 // lines of README.md
	maxText = 1 << 20
)

// forbidden are words that do not belong into a file: pointers to where this
// was made, and promises without a text.
var forbidden = regexp.MustCompile(`/work/(main|shared)|\.library/|proxy\.golang|registry\.npmjs|deb\.debian|(TODO|FIXME|XXX)\b`)

func TestFiles(t *testing.T) {
	for _, path := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > maxText || bytes.IndexByte(text, 0) >= 0 {
			continue // not text
		}
		lines := bytes.Count(text, []byte("\n"))
		if strings.HasSuffix(path, ".go") && lines > wall {
			t.Errorf("%s has %d lines, at most %d: one concept a file", path, lines, wall)
		}
		if path == "README.md" && lines > readme {
			t.Errorf("README.md has %d lines, at most %d: move the rest to docs", lines, readme)
		}
		if m := forbidden.Find(text); m != nil && !strings.HasPrefix(path, "tests/tidy/") {
			t.Errorf("%s has %q in it", path, m)
		}
		if strings.HasSuffix(path, ".md") {
			checkLinks(t, path, text)
		}
	}
}

func tracked(t *testing.T) []string {
	t.Helper()
	return strings.Fields(string(command(t, "git", "ls-files")))
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func checkLinks(t *testing.T, path string, text []byte) {
	t.Helper()
	for _, m := range link.FindAllSubmatch(text, -1) {
		target := string(m[1])
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), target)); err != nil {
			t.Errorf("%s links to %s, which is not there", path, target)
		}
	}
}

func TestModuleFileIsTidy(t *testing.T) {
	c := exec.Command("go", "mod", "tidy", "-diff")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("go mod tidy would change go.mod or go.sum: %v\n%s", err, out)
	}
}

func TestFormatted(t *testing.T) {
	var files []string
	for _, path := range tracked(t) {
		if _, err := os.Stat(filepath.Join(root, path)); strings.HasSuffix(path, ".go") && !isNotExist(err) {
			files = append(files, path)
		}
	}
	if out := command(t, "gofmt", append([]string{"-l"}, files...)...); len(out) > 0 {
		t.Errorf("not formatted by gofmt:\n%s", out)
	}
}

func isNotExist(err error) bool { return err != nil && os.IsNotExist(err) }

// The top level is the architecture: a new folder is a decision.
func TestTopLevel(t *testing.T) {
	want := map[string]bool{
		"host": true, "ordering": true, "wasmabi": true, "audit": true, "snapshot": true, "guests": true,
		"cmd": true, "tests": true, "client": true, "docs": true, ".ci": true,
	}
	for _, path := range tracked(t) {
		dir, _, nested := strings.Cut(path, "/")
		if nested && !want[dir] {
			t.Errorf("%s: %s is not a folder of the top level", path, dir)
		}
	}
}
