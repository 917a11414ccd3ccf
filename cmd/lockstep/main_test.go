package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lockstep/guests/examples/kv"
)

// envMain makes this test binary be the command.
const envMain = "LOCKSTEP_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"lockstep": main})
}

// The scripts in testdata are what a person types and sees.
func TestScripts(t *testing.T) {
	guestCache := t.TempDir() // as a user has one for all that is run
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			cache, err := exec.Command("go", "env", "GOCACHE").Output()
			if err != nil {
				return err
			}
			env.Setenv("XDG_CACHE_HOME", guestCache)
			env.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
			counter, err := os.ReadFile("../../guests/examples/counter/counter-c.wasm")
			if err != nil {
				return err
			}
			wide, err := hex.DecodeString(wideModule)
			if err != nil {
				return err
			}
			lines, err := os.ReadFile("../../host/engine/testdata/lines/guest.wasm")
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(filepath.Join(env.WorkDir, "lines.wasm"), lines, 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "wide.wasm"), wide, 0o600), os.WriteFile(filepath.Join(env.WorkDir, "kv.wasm"), kv.V1, 0o600), os.WriteFile(filepath.Join(env.WorkDir, "counter.wasm"), counter, 0o600))
		},
	})
}

// wideModule is (module (memory (export "memory") 5000) (func (export "lockstep_apply") (result i32) i32.const 0)): a guest
// that begins with more memory than a machine has by default.
const wideModule = "0061736d010000000105016000017f03020100050401008827071b02066d656d6f727902000e6c6f636b737465705f6170706c7900000a0601040041000b"

// Ctrl-C in the middle of the demo ends it, with nothing left behind.
func TestDemoInterrupted(t *testing.T) {
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "demo", "--calls", "300")
	c.Env = append(os.Environ(), envMain+"=1", "TMPDIR="+dir)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "ok   1") {
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasPrefix(lines.Text(), "ok   8") {
			t.Error("the demo went on to its end")
		}
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupt || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
