package tidy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "lockstep"
)

// pkg is what the go command says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
	Dir        string
	Export     string // file with the compiled package's types
}

// folder is the package's place in the tree.
func (p pkg) folder() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// ours lists the module's packages. One that does not compile is listed as
// well: saying that it does not is the compiler's affair.
func ours(t *testing.T) []pkg {
	return list(t, "-e", "-json=ImportPath,Doc,Imports,GoFiles,Dir", "./...")
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	out := command(t, "go", append([]string{"list"}, args...)...)
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// command runs a command at the root of the tree and returns what it prints.
func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = root
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// file is one committed file, its path relative to the root.
type file struct {
	path string
	text []byte
}

// binary reports whether a file is not text.
func (f file) binary() bool { return bytes.IndexByte(f.text, 0) >= 0 }

// committed reads the files that git tracks, as they are in the work tree.
func committed(t *testing.T) []file {
	t.Helper()
	var files []file
	for path := range strings.SplitSeq(strings.TrimSuffix(string(command(t, "git", "ls-files", "-z")), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if os.IsNotExist(err) {
			continue // removed, and that not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{path, text})
	}
	if len(files) == 0 {
		t.Fatal("git tracks no files here")
	}
	return files
}

// silent fails with each complaint that a rule has about the tree.
func silent(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// complains fails unless a rule's complaints about an example that breaks it
// are as many as wanted and have these words in them, in any order.
func complains(t *testing.T, complaints []string, want ...string) {
	t.Helper()
	if len(complaints) != len(want) {
		t.Errorf("got %d complaints, want %d:\n%s", len(complaints), len(want), strings.Join(complaints, "\n"))
	}
	for _, w := range want {
		if !slices.ContainsFunc(complaints, func(c string) bool { return strings.Contains(c, w) }) {
			t.Errorf("no complaint has %q in it:\n%s", w, strings.Join(complaints, "\n"))
		}
	}
}
