package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host/node"
	"lockstep/snapshot"
	"lockstep/snapshot/archive"
)

// data is the data folder of a node.
func (n *processes) data(i int) string {
	return filepath.Join(n.dir, "c", fmt.Sprintf("n%d", i+1), "data")
}

// checkpointed makes a checkpoint, as an operator does. All replicas answer, so all have it on disk then.
func (n *processes) checkpointed() {
	n.t.Helper()
	n.awaitVoting("kv")
	var v made
	if out := n.must("checkpoint", "make", "kv", "--json"); json.Unmarshal([]byte(out), &v) != nil || len(v.Nodes) != 3 || v.Machine != "kv" || v.Epoch != 1 {
		n.t.Fatalf("checkpoint make says %s", out)
	}
	for _, row := range n.replicas("kv") {
		if row.Stored != v.Seq || row.Root != v.Root {
			n.t.Errorf("%s has the checkpoint at seq %d, root %s, want seq %d, root %s", row.Node, row.Stored, row.Root, v.Seq, v.Root)
		}
	}
}

// withModule copies an exported file with another module, so that it is whole in itself.
func withModule(t *testing.T, from, to string, module []byte) {
	t.Helper()
	file, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	head := r.Head()
	head.Module = module
	var out bytes.Buffer
	w, err := archive.NewWriter(&out, head)
	if err != nil {
		t.Fatal(err)
	}
	for {
		pages, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			if err := w.Page(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(to, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func rootIn(t *testing.T, out string) string {
	t.Helper()
	_, after, ok := strings.Cut(out, "root  ")
	if !ok || len(after) < 64 {
		t.Fatalf("no root in %q", out)
	}
	return after[:64]
}

// manifestIn verifies an exported file and returns its manifest.
func manifestIn(t *testing.T, path string) snapshot.Manifest {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	head, _, err := archive.Verify(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	return head.Manifest
}

// A machine moves to another cluster: a node's checkpoint is exported, imported
// there on two nodes of three, and a machine deployed from it. It has the state
// of the first to the byte, on all three, and calls go on.
func TestCheckpointMovesToAnotherCluster(t *testing.T) {
	a := founded(t)
	if err := os.WriteFile(filepath.Join(a.dir, "v2.wasm"), kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	a.startAll()
	if _, errs, code := a.lockstep("checkpoint", "list", "--data", a.data(0)); code != exitFailed || !strings.Contains(errs, "is running") {
		t.Errorf("list while the node runs: exit code %d, %s", code, errs)
	}
	a.must("deploy", "kv", "v2.wasm")
	for i := range 20 {
		a.must("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Put(fmt.Sprint("key-", i), []byte(strings.Repeat(fmt.Sprint(i), 900)))))
	}
	a.checkpointed()
	for i := range a.cmds {
		a.end(i, syscall.SIGTERM)
	}
	if out := a.must("checkpoint", "verify", "--data", a.data(1)); !strings.Contains(out, "checkpoints are whole") {
		t.Errorf("verify says %q", out)
	}
	file := filepath.Join(a.dir, "kv.checkpoint")
	root := rootIn(t, a.must("checkpoint", "export", "--data", a.data(1), "-o", file))
	if out := a.must("checkpoint", "list", "--data", a.data(2)); !strings.Contains(out, root) {
		t.Errorf("another node lists %q, without root %s", out, root)
	}
	if _, errs, code := a.lockstep("checkpoint", "export", "--data", a.data(1), "-o", file); code != exitFailed || !strings.Contains(errs, "is there already") {
		t.Errorf("export over a file: exit code %d, %s", code, errs)
	}
	var said []verified
	if out := a.must("checkpoint", "verify", file, "--json"); json.Unmarshal([]byte(out), &said) != nil || len(said) != 1 || said[0].Root != root || said[0].Bad != "" {
		t.Errorf("checkpoint verify --json says %s", out)
	}
	if got := rootIn(t, a.must("checkpoint", "verify", file)); got != root {
		t.Errorf("verify says root %s, export said %s", got, root)
	}

	b := founded(t)
	b.startAll()
	b.refuses(file, root)
	for i := range 2 {
		b.must("checkpoint", "import", file, "--data", b.data(i), "--root", root)
	}
	b.must("deploy", "kv", "--checkpoint", root)
	b.awaitVoting("kv")
	get := b.must("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Get("key-7")), "-o", "raw")
	if !strings.Contains(get, strings.Repeat("7", 900)) {
		t.Errorf("the other cluster has %q", get)
	}
	b.must("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Put("more", []byte("1"))))
	b.awaitVoting("kv")
	for i := range b.cmds {
		b.end(i, syscall.SIGTERM)
	}
	want := manifestIn(t, file)
	for i := range 3 {
		first := filepath.Join(b.dir, fmt.Sprintf("b%d.checkpoint", i))
		b.must("checkpoint", "export", "--data", b.data(i), "--seq", "1", "-o", first)
		got := manifestIn(t, first)
		if got.Pages != want.Pages || got.Size != want.Size || !slices.Equal(got.Globals, want.Globals) {
			t.Errorf("node %d began from pages %v and globals %v, want %v and %v", i+1, got.Pages, got.Globals, want.Pages, want.Globals)
		}
	}
}

// refuses tries imports that must fail.
func (n *processes) refuses(file, root string) {
	n.t.Helper()
	if _, errs, code := n.lockstep("checkpoint", "import", file, "--data", n.data(0), "--root", strings.Repeat("0", 64)); code != exitFailed || !strings.Contains(errs, root) {
		n.t.Errorf("import under another root: exit code %d, %s", code, errs)
	}
	if _, errs, code := n.lockstep("checkpoint", "import", file, "--data", n.data(0), "--root", "abc"); code != exitUsage {
		n.t.Errorf("import under no root: exit code %d, %s", code, errs)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		n.t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	bad := filepath.Join(n.dir, "bad.checkpoint")
	if err := os.WriteFile(bad, whole, 0o600); err != nil {
		n.t.Fatal(err)
	}
	if _, errs, code := n.lockstep("checkpoint", "import", bad, "--data", n.data(0)); code != exitFailed {
		n.t.Errorf("import of a changed file: exit code %d, %s", code, errs)
	}
	other := filepath.Join(n.dir, "other.checkpoint")
	withModule(n.t, file, other, kv.V1)
	if _, errs, code := n.lockstep("checkpoint", "import", other, "--data", n.data(0)); code != exitFailed || !strings.Contains(errs, "its module is not") {
		n.t.Errorf("import of a file with another module: exit code %d, %s", code, errs)
	}
	if _, errs, code := n.lockstep("deploy", "kv", "--checkpoint", root, "--timeout", "20s"); code == exitOK || !strings.Contains(errs, "checkpoint import") {
		n.t.Errorf("deploy from a checkpoint that nobody holds: exit code %d, %s", code, errs)
	}
	var d audit.Digest
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(node.ImportPath(filepath.Join(n.data(0), "node"), d)), "*")); err != nil || len(left) > 0 {
		n.t.Errorf("left behind: %v, %v", left, err)
	}
}
