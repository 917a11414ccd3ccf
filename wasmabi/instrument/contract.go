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
	_, reactor := exports[wasmabi.ExportInitialize]
	if e, ok := exports[exportCommand]; ok && !reactor {
		refuse(MissingExport, e.offset, wasmabi.ExportInitialize+": "+commandAdvice)
	}
	for _, want := range wasmabi.Exports {
		e, ok := exports[want.Name]
		if !ok {
			if want.Name == wasmabi.ExportApply {
				refuse(MissingExport, 0, want.Name+": a guest exports "+spellFunc(want)+"; "+exportAdvice(exports))
			}
			continue
		}
		have, exists := m.typeOf(int(e.index))
		if e.kind != 0 || !exists {
			refuse(WrongType, e.offset, fmt.Sprintf("export %s is no function, want %s", want.Name, spellFunc(want)))
		}
		if letters(have.params) != want.Params || letters(have.results) != want.Results {
			refuse(WrongType, e.offset, fmt.Sprintf("export %s%s, want %s", want.Name, spellType(letters(have.params), letters(have.results)), spellFunc(want)))
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
			if have := m.types[i.typ]; letters(have.params) != f.Params || letters(have.results) != f.Results {
				refuse(WrongType, i.offset, fmt.Sprintf("import %s.%s%s, want %s", i.module, i.name, spellType(letters(have.params), letters(have.results)), spellFunc(f)))
			}
			return
		}
	}
	name := quoted(i.module) + "." + quoted(i.name)
	switch {
	case known:
		refuse(UnknownImport, i.offset, name+": the module has no such function")
	case strings.HasPrefix(i.module, "lockstep_v"):
		refuse(UnknownImport, i.offset, fmt.Sprintf("%s: this host has version %d of the contract, %s", name, wasmabi.Version, wasmabi.Module))
	}
	detail := fmt.Sprintf("%s: a guest imports from %s and %s", name, wasmabi.Module, wasmabi.WASIModule)
	if advice := importAdvice(i.module, i.name); advice != "" {
		detail += "; " + advice
	}
	refuse(UnknownImport, i.offset, detail)
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

func spellFunc(f wasmabi.Func) string { return f.Name + spellType(f.Params, f.Results) }

func spellType(params, results string) string {
	spell := func(s string) string {
		words := make([]string, min(len(s), 32))
		for i := range words {
			words[i] = map[byte]string{'i': "i32", 'I': "i64", '?': "other"}[s[i]]
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("(%s) -> (%s)", spell(params), spell(results))
}

func refuse(reason Reason, offset int, detail string) {
	panic(fault{&Refusal{Reason: reason, Func: -1, Offset: offset, Detail: detail}})
}
