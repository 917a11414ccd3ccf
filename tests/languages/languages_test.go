package languages

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/guests/description"
	"lockstep/host/engine"
	"lockstep/host/hosttest"
)

const examples = "../../guests/examples"

// modules are the committed builds of an example, by language, and those that
// are made here.
func modules(t *testing.T, example string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(examples, example, example+"-*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	for _, path := range paths {
		language := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), example+"-"), ".wasm")
		if example == "kv" && strings.HasPrefix(language, "v") {
			continue // of the demo, with a protocol of its own
		}
		if found[language], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for language, build := range builders {
		if built := build(t, example); built != nil {
			found[language] = describe(t, example, built)
		}
	}
	return found
}

// describe does what guests/build.sh does with those that are committed.
func describe(t *testing.T, example string, wasm []byte) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, example, "interface.json"))
	if err != nil {
		t.Fatal(err)
	}
	if wasm, err = description.Append(wasm, text); err != nil {
		t.Fatal(err)
	}
	return wasm
}

var engines = []engine.Kind{engine.Compiler, engine.Interpreter}

// Every language gives the same answers to the same requests, on both engines,
// and both engines end in the same state.
func TestLanguagesAgree(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(examples, "*", "script.txt"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("found scripts %v, %v", paths, err)
	}
	for _, path := range paths {
		example := filepath.Base(filepath.Dir(path))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := modules(t, example)
		if len(found) == 0 {
			t.Errorf("%s is built in no language", example)
		}
		for language, wasm := range found {
			t.Run(example+"/"+language, func(t *testing.T) {
				t.Parallel()
				var roots []string
				for _, kind := range engines {
					steps, root := play(t, string(text), wasm, kind)
					if got := format(steps); got != string(text) {
						if language == "go" || os.Getenv("UPDATE") == language {
							update(t, path, got)
						}
						t.Errorf("%v: %s", kind, difference(got, string(text)))
					}
					roots = append(roots, root)
				}
				if roots[0] != roots[1] {
					t.Errorf("%v ends at %s, %v at %s", engines[0], roots[0], engines[1], roots[1])
				}
			})
		}
	}
}

// play runs a script on a new machine, and returns it with what became of each
// line, and the root after each.
func play(t *testing.T, text string, wasm []byte, kind engine.Kind) (steps []step, roots string) {
	t.Helper()
	e, err := engine.New(engine.Config{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	m := hosttest.Open(t, wasm, hosttest.Options{Engine: e})
	steps = parse(text)
	for i := range steps {
		if steps[i].want, err = run(m, steps[i].line, wasm); err != nil {
			t.Fatalf("%v, line %q: %v", kind, steps[i].line, err)
		}
		roots = fmt.Sprintf("%s%.16v ", roots, m.Root())
	}
	return steps, roots
}

// update writes a script anew, for a person to read.
func update(t *testing.T, path, text string) {
	if os.Getenv("UPDATE") == "" {
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// A state that one language saved is loaded by the next: an upgrade may change
// the language, and nothing is lost.
func TestUpgradeThroughAllLanguages(t *testing.T) {
	for example, tc := range map[string]struct{ before, asked []string }{
		"counter": {[]string{`apply ["add", -70000]`}, []string{`query ["get"]`}},
		"kv": {[]string{`apply ["put", "b", "2"]`, `apply ["put", "a", "1"]`, `apply ["put", "", ""]`, `apply ["put", "ü", "` + strings.Repeat("x", 300) + `"]`},
			[]string{`query ["range", "", "", 100]`, `query ["count"]`}},
		"bank": {[]string{`apply ["open", "ann"]`, `apply ["open", "bob"]`, `apply ["deposit", "ann", 5000000000]`, `apply ["transfer", "ann", "bob", 5]`},
			[]string{`query ["balance", "ann"]`, `query ["balance", "bob"]`, `query ["total"]`, `query ["invariant"]`}},
	} {
		t.Run(example, func(t *testing.T) {
			found := modules(t, example)
			var languages []string
			for l := range found {
				languages = append(languages, l)
			}
			slices.Sort(languages)
			m := hosttest.Open(t, found[languages[0]], hosttest.Options{})
			for _, line := range tc.before {
				if got, err := run(m, line, nil); err != nil || !strings.HasPrefix(got[0], "ok") {
					t.Fatalf("%s: %q, %v", line, got, err)
				}
			}
			answers := func() (all string) {
				for _, line := range tc.asked {
					got, err := run(m, line, nil)
					if err != nil {
						t.Fatal(err)
					}
					all += fmt.Sprintln(got)
				}
				return all
			}
			want := answers()
			for i := range languages {
				from, to := languages[i], languages[(i+1)%len(languages)]
				if _, err := run(m, "upgrade", found[to]); err != nil {
					t.Fatalf("from %s to %s: %v", from, to, err)
				}
				if got := answers(); got != want {
					t.Errorf("%s loaded from %s and answers\n%s, want\n%s", to, from, got, want)
				}
			}
		})
	}
}
