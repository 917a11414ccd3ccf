package differential

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"lockstep/wasmabi/instrument"
)

// committedModules are those of the first seeds whose vectors are committed.
const committedModules = 500

// vectorsFile has a line for each: its seed, and the beginnings of the digests of the module, of what
// the rewriting makes of it, and of what its calls come to.
const vectorsFile = "testdata/vectors.txt"

// What is made of a module and what it does are the same on every engine, CPU (`make arm64`) and build of this
// program. Another profile changes them, or another generator: write them again with UPDATE=1.
func TestVectors(t *testing.T) {
	got := make(map[string]string)
	for engine, config := range map[string]wazero.RuntimeConfig{
		"compiler": wazero.NewRuntimeConfigCompiler(), "interpreter": wazero.NewRuntimeConfigInterpreter(),
	} {
		var lines strings.Builder
		run := onWazero(config)
		for seed := range uint64(committedModules) {
			lines.WriteString(vector(t, run, seed, seed%2 == 0))
		}
		got[engine] = lines.String()
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(vectorsFile, []byte(got["interpreter"]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.SplitAfter(string(file), "\n")
	for engine, all := range got {
		lines := strings.SplitAfter(all, "\n")
		if len(lines) != len(want) {
			t.Fatalf("%s: %d vectors, want %d", engine, len(lines), len(want))
		}
		for i, line := range lines {
			if line != want[i] {
				t.Fatalf("%s: seed, module, rewritten, outcome are\n%swant\n%s", engine, line, want[i])
			}
		}
	}
}

func vector(t *testing.T, run runner, seed uint64, tame bool) string {
	t.Helper()
	wasm, calls := generated(seed, tame)
	m, err := instrument.Instrument(wasm, instrument.Config{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	gas := allowance(tame)
	o, err := run(task{m.Wasm, calls, gas / 2, gas - gas/2})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	shown, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %s %s\n", seed, digest(wasm), digest(m.Wasm), digest(shown))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%x", sum[:8])
}
