package nodeproc

import (
	"fmt"
	"path/filepath"
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
	b := newBuild(t)
	std := filepath.Join(b.goEnv("GOROOT"), "src", "time")
	b.edit(filepath.Join(std, "time.go"), nowReads, nowShifts)
	b.add(filepath.Join(std, "shift.go"), shiftFile)
	return b.program("-tags", "clocked")
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
