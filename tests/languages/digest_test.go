package languages

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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

// The modules of an example all describe themselves, in the same words, and leave out
// no request that the script makes and no event that came of it.
func TestModulesDescribeThemselves(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(examples, "*", "script.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		example := filepath.Base(filepath.Dir(path))
		var first description.Interface
		for language, wasm := range modules(t, example) {
			in, err := description.Read(wasm)
			if err != nil || in.Name != example {
				t.Errorf("%s in %s: %+v, %v", example, language, in, err)
			}
			if first.Name == "" {
				first = in
			}
			if !reflect.DeepEqual(in, first) {
				t.Errorf("%s in %s describes itself otherwise", example, language)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parse(string(text)) {
			for _, missing := range undescribed(first, s) {
				t.Errorf("%s: interface.json does not have what %q has: %s", example, s.line, missing)
			}
		}
	}
}

// undescribed lists what a step does that an interface does not tell.
func undescribed(in description.Interface, s step) (missing []string) {
	need := func(in map[string]description.Operation, what, text string) {
		_, name, _ := strings.Cut(text, `["`)
		name, _, _ = strings.Cut(name, `"`)
		if _, ok := in[name]; !ok {
			missing = append(missing, what+" "+name)
		}
	}
	for _, w := range s.want {
		switch text, isEvent := strings.CutPrefix(w, "event "); {
		case isEvent:
			need(in.Events, "event", text)
		case strings.HasPrefix(w, "reject "):
			if code := strings.Fields(w)[1]; in.Rejects[code] == "" {
				missing = append(missing, "code "+code)
			}
		case strings.HasPrefix(s.line, "apply ["):
			need(in.Apply, "input", s.line)
		case strings.HasPrefix(s.line, "query ["):
			need(in.Query, "query", s.line)
		}
	}
	return missing
}
