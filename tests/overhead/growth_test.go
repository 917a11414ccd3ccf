package overhead

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep/wasmabi/instrument"
)

// maxGrowth is what the rewriting may make of a guest's size.
const maxGrowth = 1.35

// Guests of all compilers grow by no more than that. The kernels, of 200 to 2,000 bytes, do: docs/determinism.md.
func TestGrowth(t *testing.T) {
	files, err := filepath.Glob("../../guests/examples/*/*.wasm")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d guests, %v", len(files), err)
	}
	for _, file := range files {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := instrument.Instrument(wasm, instrument.Config{Contract: true})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		growth := float64(len(m.Wasm)) / float64(len(wasm))
		t.Logf("%s: %d bytes, %.3f", filepath.Base(file), len(wasm), growth)
		if growth > maxGrowth {
			t.Errorf("%s grows from %d to %d bytes, by %.3f", file, len(wasm), len(m.Wasm), growth)
		}
	}
}
