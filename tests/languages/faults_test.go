package languages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/wasmabi/instrument"
)

// wrongBuild is a line for sh that makes $OUT of what stands in guests, and what
// the refusal of it says.
type wrongBuild struct{ name, line, says string }

func (b wrongBuild) check(t *testing.T) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	c := exec.Command("sh", "-ec", b.line)
	c.Dir = "../../guests"
	c.Env = append(os.Environ(), "OUT="+out, "SOURCE="+t.TempDir()+"/source.c",
		"CLANG=clang-14 --target=wasm32-wasi --sysroot=/usr -std=c11 -Os -Isdk/c -o "+out)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", b.line, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := instrument.Instrument(wasm, instrument.Config{Contract: true, MaxMemoryPages: 4096}); err == nil || !strings.Contains(err.Error(), b.says) {
		t.Errorf("got %v, want %q", err, b.says)
	}
}

// A guest in Go that is built as programs are is refused with the flag that is missing.
func TestWrongGoBuilds(t *testing.T) {
	for _, b := range []wrongBuild{
		{"command", "GOOS=wasip1 GOARCH=wasm go build -o $OUT ./examples/counter/go", "-buildmode=c-shared"},
		{"browser", "GOOS=js GOARCH=wasm go build -o $OUT ./examples/counter/go", "GOOS=wasip1"},
	} {
		t.Run(b.name, b.check)
	}
}
