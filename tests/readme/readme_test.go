package readme

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/tests/pages"
	"lockstep/wasmabi"
)

const root = "../.."

func TestMain(m *testing.M) { os.Exit(pages.Main(m)) }

func readme(t *testing.T) pages.Page {
	t.Helper()
	p, err := pages.Read(root, "README.md")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// block returns the first code block of a language that contains some text.
func block(t *testing.T, language, with string) string {
	t.Helper()
	b, err := readme(t).Block(language, with)
	if err != nil {
		t.Fatal(err)
	}
	return b.Text
}

// The cluster in the README is one: its commands are run as they stand, by real processes,
// and print what the README says, if it does.
func TestCluster(t *testing.T) {
	p, err := readme(t).Only("sh", "lockstep init")
	if err != nil {
		t.Fatal(err)
	}
	r := pages.NewReader(t, pages.Options{Root: root, Clone: true})
	r.Follow(t, p)
	// It ends with the bank's second version, three replicas, and the deposit.
	const want = "NODE …\nn1 voting …\nn2 voting …\nn3 voting …\n100\n"
	said, err := r.Await(`bin/lockstep status bank; bin/lockstep query bank -i json '["balance", "ann"]' -m voted`, want)
	if err != nil {
		t.Fatal(err)
	}
	if !pages.Match(want, said) {
		t.Errorf("the cluster ends with\n%s", said)
	}
}

// The guest in the README builds with the README's own line, is accepted by
// check, and does what it looks like.
func TestGuestBuildsAndRuns(t *testing.T) {
	// The go command keeps a test's result until a file changes that the test has
	// opened, and the SDK is read by the build alone.
	for _, f := range glob(t, root+"/guests/sdk/go/lockstep/*.go") {
		if _, err := os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(block(t, "go", "package main")), 0o600); err != nil {
		t.Fatal(err)
	}
	line := firstLine(block(t, "sh", "-buildmode"))
	abs, err := filepath.Abs(filepath.Join(root, "guests/examples/readme-counter/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {abs: source}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	wasm := filepath.Join(dir, "counter.wasm")
	line = strings.Replace(line, "-o counter.wasm .", "-overlay "+filepath.Join(dir, "overlay.json")+" -o "+wasm+" ./guests/examples/readme-counter", 1)
	build := exec.Command("sh", "-c", line)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	check := exec.Command("go", "run", "./cmd/lockstep", "check", wasm)
	check.Dir = root
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok") {
		t.Errorf("check: %v\n%s", err, out)
	}
	runCounter(t, wasm)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func runCounter(t *testing.T, path string) {
	t.Helper()
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	m, err := e.Compile(wasm, 0)
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Instantiate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	const gas = 1 << 40
	if o := g.Call(host.Call{Export: wasmabi.ExportInit, Gas: gas}); o.Status != wasmabi.OK {
		t.Fatalf("init: %+v", o)
	}
	for _, want := range []byte{3, 6, 9} {
		o := g.Call(host.Call{Export: wasmabi.ExportApply, Input: []byte("abc"), Gas: gas})
		if o.Status != wasmabi.OK || len(o.Output) != 1 || o.Output[0] != want {
			t.Errorf("apply: %+v, want %d", o, want)
		}
	}
}

// The two commands at the top are the ones that newcomers type first.
func TestFirstCommands(t *testing.T) {
	want := []string{"go run ./cmd/lockstep demo", "go test ./..."}
	commands := strings.Split(strings.TrimSpace(block(t, "sh", "demo")), "\n")
	if len(commands) != len(want) {
		t.Fatalf("the first block has %d commands", len(commands))
	}
	for i, c := range commands {
		if !strings.HasPrefix(c, want[i]) {
			t.Errorf("command %d is %q, want %q", i, c, want[i])
		}
	}
}
