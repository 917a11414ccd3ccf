package guesttest_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The modules are built by hand with testdata/build.sh. A source that was
// edited since, or a module that was not listed, shows here.
func TestModulesAreOfTheirSources(t *testing.T) {
	listed, err := os.ReadFile("testdata/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pattern := range []string{"*.wat", "*.wasm"} {
		paths, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(paths)
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%x  %s\n", sha256.Sum256(b), filepath.Base(path)))
		}
	}
	if len(got) == 0 || strings.Join(got, "") != string(listed) {
		t.Errorf("files in testdata digest to\n%swant SHA256SUMS: run testdata/build.sh", strings.Join(got, ""))
	}
}
