//go:build toolchains

package languages

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"lockstep/guests/sdk/javascript/bundle"
)

// builders make the modules that are not committed, by language.
var builders = map[string]func(t *testing.T, example string) []byte{"go": buildGo, "javascript": buildJavaScript}

// script runs a build script of the tree and returns the module that it makes.
func script(path string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "guest.wasm")
	c := exec.Command(path, out)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

var quickJS = sync.OnceValues(func() ([]byte, error) { return script("../../guests/sdk/javascript/build.sh") })

func buildJavaScript(t *testing.T, example string) []byte {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(examples, example, "javascript", example+".js"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	engine, err := quickJS()
	if err != nil {
		t.Fatalf("build QuickJS: %v", err)
	}
	module, err := bundle.Module(engine, source)
	if err != nil {
		t.Fatal(err)
	}
	return module
}
