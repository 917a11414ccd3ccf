//go:build toolchains

package languages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/host/hosttest"
	"lockstep/wasmabi"
)

// A guest that is built with a wrong flag, or declares what it does not have, is
// refused with what to do.
func TestWrongBuilds(t *testing.T) {
	source := func(text string) string { return "printf '%s' '#include \"lockstep.h\"\n" + text + "' >$SOURCE; " }
	reactor := "$CLANG -mexec-model=reactor $SOURCE "
	for _, b := range []wrongBuild{
		{"C, a program", source("int main(void) { return 0; }") + "$CLANG $SOURCE", "-mexec-model=reactor"},
		{"C, not exported", source("uint32_t apply(void) { return 0; }") + reactor, "LS_EXPORT(apply)"},
		{"C, under another name", source(`__attribute__((export_name("apply"))) uint32_t apply(void) { return 0; }`) + reactor, "which the contract calls lockstep_apply"},
		{"C, another type", source("LS_EXPORT(apply) void apply(int32_t n) { (void)n; }") + reactor, "export lockstep_apply(i32) -> (), want lockstep_apply() -> (i32)"},
		{"C, undefined", source("int missing(int n); LS_EXPORT(apply) uint32_t apply(void) { return missing(2); }") + reactor + "-Wl,--allow-undefined", "env.missing"},
		{"C, memory from outside", reactor[:len(reactor)-len("$SOURCE ")] + "examples/counter/c/counter.c -Wl,--import-memory", "link without --import-memory"},
		{"AssemblyScript, abort", "node ${LOCKSTEP_NPM:-$HOME/.cache/lockstep}/node_modules/assemblyscript/bin/asc.js examples/counter/assemblyscript/counter.ts -o $OUT --exportStart _initialize", "--use abort="},
		{"Rust, not exported", "echo 'pub fn apply() -> u32 { 0 }' >$SOURCE.rs; ${LOCKSTEP_RUSTC:-/usr/bin/rustc} --crate-name source --target wasm32-unknown-unknown --crate-type cdylib " +
			"-C linker=wasm-ld-14 -C linker-flavor=wasm-ld -o $OUT $SOURCE.rs", "lockstep::machine!(T)"},
	} {
		t.Run(b.name, b.check)
	}
}

// What a guest says when it gives up is shown, and the machine goes on as it was.
func TestPanicsAreShown(t *testing.T) {
	out := t.TempDir()
	c := exec.Command("../../guests/build.sh", out)
	// The compiler of Debian 12 takes a guest without std only so.
	c.Env = append(os.Environ(), "LOCKSTEP_EXAMPLES=testdata", "RUSTC_BOOTSTRAP=1")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	fill := []byte("\x81\x64fill")
	for _, tc := range []struct {
		guest string
		input []byte
		says  string
	}{
		{"panic/panic-c", []byte("x"), "Assertion failed: size == 0 (testdata/panic/c/panic.c"},
		{"panic/panic-c", []byte("xx"), "out of memory"},
		{"panic/panic-cpp", []byte("\x81\x61x"), `Assertion failed: q.op() == "nothing"`},
		{"panic/panic-cpp", fill, "out of memory"},
		{"panic/panic-rust", []byte("x"), "index out of bounds: the len is 1 but the index is 10', testdata/panic/rust/panic.rs:"},
		{"panic/panic-rust", []byte("xx"), "trap: unreachable"}, // std says nothing
		{"panic/panic-zig", []byte("\x81\x61x"), "there is no way on"},
		{"panic/panic-assemblyscript", []byte("\x81\x61x"), "there is no way on at testdata/panic/assemblyscript/panic.ts:"},
		{"nostd/nostd-rust", []byte("x"), "index out of bounds: the len is 1 but the index is 10"},
	} {
		wasm, err := os.ReadFile(filepath.Join(out, tc.guest+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		m := hosttest.Open(t, wasm, hosttest.Options{})
		before := m.Memory()
		if r := m.Apply(tc.input); r.Status != wasmabi.Trapped || !strings.Contains(r.Log, tc.says) {
			t.Errorf("%s, input %q: got %v, want a trap and %q", tc.guest, tc.input, r.Err(), tc.says)
		}
		if string(m.Memory()) != string(before) {
			t.Errorf("%s, input %q: the trap left a trace in memory", tc.guest, tc.input)
		}
	}
}
