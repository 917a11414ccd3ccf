package instrument

import (
	"strconv"
	"strings"

	"lockstep/wasmabi"
)

// A compiler that is called otherwise than the SDKs call it leaves marks. What
// is refused by them is told with what to do.

// importAdvice says where an import comes from that no guest has.
func importAdvice(module, name string) string {
	switch begins := func(s string) bool { return strings.HasPrefix(name, s) }; {
	case module == "gojs" || module == "go":
		return "Go for browsers imports it: build with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared"
	case strings.HasPrefix(module, "__wbindgen") || module == "wbg":
		return "wasm-bindgen imports it, of a crate that calls JavaScript: turn off the crate's feature for browsers"
	case strings.Contains(module, ":"):
		return "components import it: build for wasm32-unknown-unknown or wasm32-wasip1, not for wasip2"
	case module == "wasi_unstable":
		return "it is WASI before preview 1: build with a newer toolchain, or without WASI"
	case module == "wasi" && begins("thread"):
		return "a guest has one thread: build without -pthread"
	case module == "a" || module == "env" && (begins("emscripten_") || begins("invoke_") || begins("_emscripten_") || begins("__syscall_")):
		return "Emscripten imports it, to be run by JavaScript: build with clang --target=wasm32-wasi -mexec-model=reactor"
	case module != "env":
		return ""
	case name == "abort":
		return "AssemblyScript imports it: build with --use abort=…/abort/abort, the file abort.ts of the SDK"
	case name == "seed" || name == "trace" || strings.Contains(name, "."):
		return "AssemblyScript imports it, to be run by JavaScript: use time, random and log of the SDK"
	case begins("__cxa_"):
		return "C++ exceptions need it: build with -fno-exceptions"
	}
	return "it is declared and nowhere defined: link what defines it, and without --allow-undefined"
}

// exportAdvice says why lockstep_apply may be missing.
func exportAdvice(exports map[string]export) string {
	for _, name := range []string{"apply", "_apply"} {
		if e, ok := exports[name]; ok && e.kind == 0 {
			return "it exports " + name + ", which the contract calls " + wasmabi.ExportApply
		}
	}
	return "the SDKs export it: Rust by lockstep::machine!(T), C by LS_EXPORT(apply), C++ by LOCKSTEP_MACHINE(T), " +
		"Zig by lockstep.machine(T), Go by importing the package, AssemblyScript by export * from \"…/exports\" in the entry file"
}

// exportCommand is the main of a WASI command. A host that does not run it runs
// no constructors either; a reactor exports them.
const exportCommand = "_start"

const commandAdvice = "the module is a program with a main, which would end it: build a reactor, with -buildmode=c-shared (Go), " +
	"-mexec-model=reactor (C, C++), crate-type cdylib (Rust)"

// kindAdvice says why something else than a function may be imported.
func kindAdvice(kind byte) string {
	switch kind {
	case 2:
		return ": link without --import-memory"
	case 1, 3:
		return ": link a module of its own, without -shared and -fPIC"
	}
	return ""
}

// fileAdvice says what a file may be that is no module.
func fileAdvice(file []byte) string {
	text := strings.TrimSpace(string(file[:min(len(file), 64)]))
	switch {
	case len(file) == 0:
		return "it is empty"
	case strings.HasPrefix(text, "(") || strings.HasPrefix(text, ";;"):
		return `it does not begin with \0asm but is text: make a module of it with wat2wasm`
	}
	return `it does not begin with \0asm`
}

// quoted is a module's own word as it can be shown: short, and without what a
// terminal would obey.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
