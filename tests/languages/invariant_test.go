package languages

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	guesttest "lockstep/cmd/lockstep/script"
	"lockstep/guests/description"
	"lockstep/host/hosttest"
)

// notConserved is what the bank says in every language.
const notConserved = "money is not conserved"

// The bank of every language knows a state in which money appeared or went away: no upgrade takes it over. One
// that is whole is taken, and stays so.
func TestBanksAreConserved(t *testing.T) {
	saves, err := os.ReadFile("testdata/saves.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for language, wasm := range modules(t, "bank") {
		t.Run(language, func(t *testing.T) {
			for saved, broken := range map[string]bool{
				`[5, [["ann", 3]]]`: true, `[0, [["ann", 3], ["bob", 4]]]`: true, `[1, []]`: true,
				`[7, [["ann", 3], ["bob", 4]]]`: false, `[0, []]`: false,
			} {
				m := hosttest.Open(t, saves, hosttest.Options{})
				state, err := description.FromJSON([]byte(saved))
				if err != nil {
					t.Fatal(err)
				}
				m.Apply(state)
				err = m.Upgrade(wasm).Err()
				if broken && (err == nil || !strings.Contains(err.Error(), "new guest's invariant does not hold: "+notConserved)) {
					t.Errorf("%s: %v, want that %s", saved, err, notConserved)
				}
				if broken {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", saved, err)
				}
				if got, err := run(m, `apply ["open", "new"]`, nil); err != nil || got[0] != "ok null" {
					t.Errorf("%s, and then: %q, %v", saved, got, err)
				}
			}
		})
	}
}

// A bank that was changed to forget who pays is found by its invariant: by a Go test, and by a script of lockstep test,
// at the line that broke it.
func TestMutatedBankIsFound(t *testing.T) {
	wasm := mutatedGo(t, "bank", "\tb.accounts[from] -= amount\n", "")
	m := hosttest.Open(t, wasm, hosttest.Options{})
	for _, line := range []string{`["open", "ann"]`, `["open", "bob"]`, `["deposit", "ann", 5]`} {
		if got, err := run(m, "apply "+line, nil); err != nil || !strings.HasPrefix(got[0], "ok") {
			t.Fatalf("%s: %q, %v", line, got, err)
		}
	}
	input, err := description.FromJSON([]byte(`["transfer", "ann", "bob", 2]`))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(input).Err(); err == nil || !strings.Contains(err.Error(), "broke the guest's invariant: "+notConserved) {
		t.Errorf("transfer: %v, want that %s", err, notConserved)
	}
	text := "apply json:[\"open\", \"ann\"]\napply json:[\"open\", \"bob\"]\napply json:[\"deposit\", \"ann\", 5]\n" +
		"apply json:[\"transfer\", \"ann\", \"bob\", 2]\noutput json:null\n"
	_, err = guesttest.Run("bank.txtar", []byte(text), wasm, hosttest.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "bank.txtar:4: ") || !strings.Contains(err.Error(), notConserved) {
		t.Errorf("script: %v, want line 4 and that %s", err, notConserved)
	}
}

// mutatedGo builds an example in Go of which one text is another.
func mutatedGo(t *testing.T, example, old, changed string) []byte {
	t.Helper()
	source, err := filepath.Abs(filepath.Join(examples, example, "go", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s has %q not once", source, old)
	}
	dir := t.TempDir()
	mutant, overlay, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "guest.wasm")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{mutant: []byte(strings.Replace(string(text), old, changed, 1)), overlay: replace} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("go", "build", "-buildmode=c-shared", "-overlay", overlay, "-ldflags=-s -w", "-buildvcs=false", "-o", out, ".")
	c.Dir = filepath.Dir(source)
	c.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
