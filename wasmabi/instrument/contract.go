package instrument

import (
	"fmt"
	"strings"

	"lockstep/wasmabi"
)

// checkContract refuses a module that is no guest: a name that is missing, has
// another type, or is not known.
func (m *module) checkContract() {
	for _, i := range m.imports {
		m.checkImport(i)
	}
	exports := make(map[string]export, len(m.exports))
	for _, e := range m.exports {
		exports[e.name] = e
	}
	if e, ok := exports[wasmabi.ExportMemory]; !ok || e.kind != 2 {
		refuse(MissingExport, 0, `memory: a guest exports its memory as "memory"`)
	}
	for _, want := range wasmabi.Exports {
		e, ok := exports[want.Name]
		if !ok {
			if want.Name == wasmabi.ExportApply {
				refuse(MissingExport, 0, want.Name+": a guest exports "+spellFunc(want))
			}
			continue
		}
		have, exists := m.typeOf(int(e.index))
		if e.kind != 0 || !exists || letters(have.params) != want.Params || letters(have.results) != want.Results {
			refuse(WrongType, e.offset, fmt.Sprintf("export %s, want %s", want.Name, spellFunc(want)))
		}
	}
}

func (m *module) checkImport(i imported) {
	known := false
	for _, list := range [][]wasmabi.Func{wasmabi.Imports, wasmabi.WASI} {
		for _, f := range list {
			known = known || f.Module == i.module
			if f.Module != i.module || f.Name != i.name {
				continue
			}
			if t := m.types[i.typ]; letters(t.params) != f.Params || letters(t.results) != f.Results {
				refuse(WrongType, i.offset, fmt.Sprintf("import %s.%s, want %s", i.module, i.name, spellFunc(f)))
			}
			return
		}
	}
	switch {
	case known:
		refuse(UnknownImport, i.offset, fmt.Sprintf("%s.%s: the module has no such function", i.module, i.name))
	case strings.HasPrefix(i.module, "lockstep_v"):
		refuse(UnknownImport, i.offset, fmt.Sprintf("%s.%s: this host has version %d of the contract, %s", i.module, i.name, wasmabi.Version, wasmabi.Module))
	}
	refuse(UnknownImport, i.offset, fmt.Sprintf("%s.%s: a guest imports from %s and %s", i.module, i.name, wasmabi.Module, wasmabi.WASIModule))
}

// letters writes value types as wasmabi.Func does; others as ?.
func letters(types []byte) string {
	b := make([]byte, len(types))
	for i, t := range types {
		switch t {
		case typeI32:
			b[i] = 'i'
		case typeI64:
			b[i] = 'I'
		default:
			b[i] = '?'
		}
	}
	return string(b)
}

func spellFunc(f wasmabi.Func) string {
	spell := func(s string) string {
		words := make([]string, len(s))
		for i := range s {
			words[i] = map[byte]string{'i': "i32", 'I': "i64"}[s[i]]
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("%s(%s) -> (%s)", f.Name, spell(f.Params), spell(f.Results))
}

func refuse(reason Reason, offset int, detail string) {
	panic(fault{&Refusal{Reason: reason, Func: -1, Offset: offset, Detail: detail}})
}
