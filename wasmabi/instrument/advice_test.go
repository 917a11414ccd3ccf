package instrument_test

import (
	"strings"
	"testing"

	"lockstep/wasmabi/instrument"
)

func imports(module, name string) []byte {
	return section(2, append(append(append([]byte{1, byte(len(module))}, module...), byte(len(name))), name+"\x00\x00"...)...)
}

func exports(names ...string) []byte {
	content := []byte{byte(len(names) + 1), 6}
	content = append(content, "memory\x02\x00"...)
	for _, n := range names {
		content = append(append(append(content, byte(len(n))), n...), 0, 0)
	}
	return section(7, content...)
}

// What a compiler that is called in another way leaves is told with what to do.
func TestAdvice(t *testing.T) {
	for _, c := range []struct{ module, name, says string }{
		{"env", "abort", "--use abort="},
		{"env", "seed", "random"}, {"env", "console.log", "log of the SDK"}, {"env", "Date.now", "use time"},
		{"gojs", "runtime.ticks", "GOOS=wasip1"}, {"go", "debug", "-buildmode=c-shared"},
		{"__wbindgen_placeholder__", "__wbindgen_throw", "wasm-bindgen"}, {"wbg", "x", "wasm-bindgen"},
		{"wasi:cli/environment@0.2.0", "get-environment", "not for wasip2"}, {"wasi_unstable", "fd_write", "preview 1"},
		{"wasi", "thread-spawn", "-pthread"}, {"a", "b", "Emscripten"}, {"env", "invoke_vii", "Emscripten"},
		{"env", "__cxa_throw", "-fno-exceptions"}, {"env", "missing", "--allow-undefined"}, {"my", "own", "a guest imports from lockstep_v1"},
		{"env", "\x1b[2J", `env.\x1b[2J`}, {"my", strings.Repeat("x", 100), strings.Repeat("x", 80) + "…"},
	} {
		r := refusalOf(t, module(nullary, imports(c.module, c.name)), true)
		if r == nil || r.Reason != instrument.UnknownImport || !strings.Contains(r.Error(), c.says) {
			t.Errorf("%s.%s: got %v, want %q", c.module, c.name, r, c.says)
		}
	}
	for _, c := range []struct {
		names  []string
		reason instrument.Reason
		says   string
	}{
		{nil, instrument.MissingExport, "LS_EXPORT(apply)"},
		{[]string{"apply"}, instrument.MissingExport, "it exports apply, which the contract calls lockstep_apply"},
		{[]string{"_start"}, instrument.MissingExport, "-mexec-model=reactor"},
		{[]string{"lockstep_apply", "_start"}, instrument.MissingExport, "-buildmode=c-shared"},
		{[]string{"lockstep_apply"}, instrument.WrongType, "export lockstep_apply() -> (), want lockstep_apply() -> (i32)"},
	} {
		r := refusalOf(t, module(nullary, oneFunc, onePage, exports(c.names...), code()), true)
		if r == nil || r.Reason != c.reason || !strings.Contains(r.Error(), c.says) {
			t.Errorf("exports %q: got %v, want %q", c.names, r, c.says)
		}
	}
	for file, says := range map[string]string{"": "it is empty", "  (module)": "wat2wasm", ";; a counter\n": "wat2wasm", "#!/bin/sh\n": `\0asm`} {
		if r := refusalOf(t, []byte(file), true); r == nil || r.Reason != instrument.NotWasm || !strings.Contains(r.Error(), says) {
			t.Errorf("file %q: got %v, want %q", file, r, says)
		}
	}
}
