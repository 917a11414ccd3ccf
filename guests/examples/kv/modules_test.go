package kv_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/guests/examples/kv"
)

// The committed modules are what build.sh makes of the source beside them. A
// replica's guest is named by its digest, so that a reader must be able to
// get from one to the other.
func TestModulesRebuild(t *testing.T) {
	readSources(t)
	dir := t.TempDir()
	if out, err := exec.Command("./build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	for name, want := range map[string][]byte{"kv-v1.wasm": kv.V1, "kv-v2.wasm": kv.V2} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what build.sh makes: run it, and put the digests into README.md", name)
		}
	}
}

// readSources opens what the build reads. The go command keeps the result of a
// test until a file changes that the test itself has opened.
func readSources(t *testing.T) {
	t.Helper()
	n := 0
	for _, pattern := range []string{"*.go", "v1/*.go", "v2/*.go", "build.sh", "../../sdk/go/lockstep/*.go", "../../../go.mod"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n < 10 {
		t.Errorf("found %d sources: is the list of patterns stale?", n)
	}
}

func TestReadmeDigests(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string][]byte{"kv-v1.wasm": kv.V1, "kv-v2.wasm": kv.V2} {
		sum := sha256.Sum256(module)
		if !strings.Contains(string(readme), hex.EncodeToString(sum[:])+"  "+name) {
			t.Errorf("README.md lacks the SHA-256 of %s, %x", name, sum)
		}
	}
}
