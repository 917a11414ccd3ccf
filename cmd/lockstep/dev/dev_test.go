package dev

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/cmd/lockstep/project"
	"lockstep/guests/examples/kv"
)

// screen is what is shown, for several goroutines.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// A source that changes is built and swapped under a state that stays; one that
// does not build, or is no guest, leaves the old guest running.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(project.File, []byte("build = 'test ! -e broken && cp source out.wasm'\nwasm = 'out.wasm'\n"))
	write("source", kv.V1)
	p, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	in, typed := io.Pipe()
	var out screen
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), Options{Project: p, Machine: "kv", Watch: true, In: in, Out: &out})
	}()
	await := func(what string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for !strings.Contains(out.String(), what) {
			select {
			case err := <-done:
				t.Fatalf("ended: %v\n%s", err, out.String())
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q was not shown:\n%s", what, out.String())
			}
		}
	}
	say := func(input []byte) {
		t.Helper()
		if _, err := fmt.Fprintf(typed, "hex:%x\n", input); err != nil {
			t.Fatal(err)
		}
	}
	await("other terminals")
	say(kv.Put("a", []byte("kept")))
	say(kv.Add("n", 1))
	await("code 17") // v1 cannot add
	write("broken", nil)
	await("error: build: exit status 1")
	if err := os.Remove(filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	write("source", []byte("no module"))
	await("out.wasm: ")
	write("source", kv.V2)
	await("upgraded at seq")
	say(kv.Get("a"))
	await("kept")
	say(kv.Add("n", 1))
	if _, err := fmt.Fprintln(typed, "quit"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "code 17"); n != 1 {
		t.Errorf("v2 rejects what v1 did:\n%s", out.String())
	}
}
