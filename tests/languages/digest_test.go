package languages

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/guests/description"
)

// Every module that is committed is listed with its digest; guests/check.sh
// builds them again where there is the compiler.
func TestDigestsAreListed(t *testing.T) {
	listed, err := os.ReadFile(filepath.Join(examples, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(examples, "*", "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	var got strings.Builder
	for _, path := range paths {
		wasm, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%x  %s/%s\n", sha256.Sum256(wasm), filepath.Base(filepath.Dir(path)), filepath.Base(path))
	}
	if got.String() != string(listed) {
		t.Errorf("modules digest to\n%swant guests/examples/SHA256SUMS: run guests/check.sh write", got.String())
	}
}

// The modules of an example all describe themselves, in the same words.
func TestModulesDescribeThemselves(t *testing.T) {
	for _, example := range []string{"counter", "kv", "bank", "lock", "queue", "sqlite"} {
		var first string
		for language, wasm := range modules(t, example) {
			if builders[language] != nil {
				continue // built here, without
			}
			in, err := description.Read(wasm)
			if err != nil || in.Name != example {
				t.Errorf("%s in %s: %+v, %v", example, language, in, err)
			}
			if first == "" {
				first = fmt.Sprint(in)
			}
			if fmt.Sprint(in) != first {
				t.Errorf("%s in %s describes itself otherwise", example, language)
			}
		}
	}
}
