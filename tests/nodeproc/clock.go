package nodeproc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The clock of a node whose program BuildClocked made: Go's own package time, with an offset in what Now reads of the
// wall clock. All of the process, its NATS server included, is off by it; timers, which go by the monotonic clock, are not.
const (
	nowReads  = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	nowShifts = nowReads + "\tsec += shift.Load()\n"
	shiftFile = `package time

import "internal/runtime/atomic"

var shift atomic.Int64 // seconds

// Shift sets how far Now is off.
func Shift(d Duration) { shift.Store(int64(d / Second)) }
`
)

// BuildClocked builds the test binary of the package whose test calls it, for Options.Program, so that
// Cluster.SetClock can set its clock.
func BuildClocked(t testing.TB) (program string) {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(source, []byte(nowReads)) != 1 {
		t.Fatalf("time.Now is written otherwise in this version of Go than %q: change nowReads", nowReads)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	put := func(path, content string) string {
		file := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = file
		return file
	}
	put(filepath.Join(std, "time.go"), strings.Replace(string(source), nowReads, nowShifts, 1))
	put(filepath.Join(std, "shift.go"), shiftFile)
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "clocked.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "clocked", "-overlay", put("overlay.json", string(overlay)), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return program
}

// SetClock sets how far node i's clock is off, from now on: also when it is killed and started again.
func (c *Cluster) SetClock(t testing.TB, i int, off time.Duration) {
	t.Helper()
	c.nodes[i].spec.Clock = off
	if !c.Answers(i) {
		return // it starts with it
	}
	if line := c.ask(t, i, fmt.Sprint("clock ", off)); line != "ok" {
		t.Fatalf("%s: clock: %q", Name(i), line)
	}
}
