package languages

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// buildGo builds an example that is written in Go, nil if there is none. Such
// modules have two megabytes, and whoever tests has the compiler: they are not
// committed.
func buildGo(t *testing.T, example string) []byte {
	t.Helper()
	dir := filepath.Join(examples, example, "go")
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	c := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -buildid=", "-buildvcs=false", "-o", out, ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
