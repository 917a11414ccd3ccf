package durable_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lockstep/ordering/journal/durable"
)

// writes has the process write files below a folder until it is killed.
const writes = "LOCKSTEP_TEST_WRITES"

func TestMain(m *testing.M) {
	dir := os.Getenv(writes)
	for n := byte(0); dir != ""; n++ {
		if err := durable.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte{n}, 1<<20)); err != nil {
			_, _ = fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		_, _ = fmt.Fprintln(os.Stdout, "written")
	}
	os.Exit(m.Run())
}

// killed runs a process that writes files, and kills it once it has written one.
func killed(t *testing.T, dir string) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), writes+"="+dir)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "written\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed
}

// A process that is killed while it writes leaves a whole file, and beside it what Sweep removes.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "machines", "m")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, ".new-folder"), 0o700), os.WriteFile(filepath.Join(dir, "a.new-1"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var left []string
	for tries := 0; len(left) < 2; tries++ { // and the folder
		if tries == 100 {
			t.Fatal("no process was killed while it wrote")
		}
		killed(t, dir)
		left, _ = filepath.Glob(filepath.Join(dir, ".new-*"))
	}
	if err := durable.Sweep(root); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 || files[0].Name() != ".new-folder" || files[1].Name() != "a.new-1" || files[2].Name() != "file" {
		t.Errorf("what is there afterwards: %v, %v", files, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || len(data) != 1<<20 || bytes.Count(data, data[:1]) != len(data) {
		t.Errorf("a file of %d bytes, not one whole: %v", len(data), err)
	}
}
