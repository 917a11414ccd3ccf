package nodeproc

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BuildEdited builds the test binary of the package whose test calls it, for Options.Program, with one passage of a
// source file of this module being another one: a node without what a test is to show the want of.
func BuildEdited(t testing.TB, file, passage, instead string) (program string) {
	t.Helper()
	b := newBuild(t)
	b.edit(filepath.Join(filepath.Dir(b.goEnv("GOMOD")), file), passage, instead)
	return b.program()
}

// build is one of a test binary, with some files replaced.
type build struct {
	t       testing.TB
	dir     string
	replace map[string]string
}

func newBuild(t testing.TB) *build { return &build{t, t.TempDir(), make(map[string]string)} }

func (b *build) goEnv(name string) string {
	b.t.Helper()
	out, err := exec.CommandContext(b.t.Context(), "go", "env", name).Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// edit replaces a passage, which the file must have once.
func (b *build) edit(path, passage, instead string) {
	b.t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Count(string(source), passage) != 1 {
		b.t.Fatalf("%s has not once %q: the test that has it replaced is to follow", path, passage)
	}
	b.add(path, strings.Replace(string(source), passage, instead, 1))
}

// add puts a file there.
func (b *build) add(path, content string) { b.replace[path] = b.put(filepath.Base(path), content) }

func (b *build) put(name, content string) (path string) {
	b.t.Helper()
	path = filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *build) program(flags ...string) (path string) {
	b.t.Helper()
	overlay, err := json.Marshal(map[string]any{"Replace": b.replace})
	if err != nil {
		b.t.Fatal(err)
	}
	path = filepath.Join(b.dir, "edited.test")
	args := append([]string{"test", "-c", "-overlay", b.put("overlay.json", string(overlay)), "-o", path}, flags...)
	run := exec.CommandContext(b.t.Context(), "go", append(args, ".")...)
	if out, err := run.CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %v\n%s", run, err, out)
	}
	return path
}
