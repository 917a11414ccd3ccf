package instrument

import (
	"sort"
	"strings"
)

// Locator tells where instrumented code comes from. Offsets are in the content of the
// code section, as DWARF has them.
type Locator struct{ runs []run }

// run is code that was copied, or what stands for one place.
type run struct {
	to, from int // offsets after and before
	copied   bool
}

// Locate makes the locator of what Instrument makes of a module.
func Locate(wasm []byte, cfg Config) (*Locator, error) {
	m, funcs, _, err := examine(wasm, cfg)
	if err != nil {
		return nil, err
	}
	bodies := make([]int, len(funcs)) // bytes of each
	for i, f := range funcs {
		f.runs = make([]run, 0, 1+len(f.edits))
		bodies[i] = len(f.rewrite())
	}
	var count writer
	count.u32(uint32(len(funcs) + len(m.added)))
	l, at := &Locator{}, len(count.buf)
	for i, f := range funcs {
		for _, r := range f.runs {
			r.to += at
			r.from += f.body.code.base - m.codeBase
			l.runs = append(l.runs, r)
		}
		at += bodies[i]
	}
	return l, nil
}

// Original is the offset in the module as it came, of the instruction itself or the
// one that added code belongs to. Before the first function there is none.
func (l *Locator) Original(offset int) (int, bool) {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].to > offset }) - 1
	if i < 0 {
		return 0, false
	}
	r := l.runs[i]
	if r.copied {
		return r.from + offset - r.to, true
	}
	return r.from, true
}

// note begins a run, where runs are wanted.
func (f *function) note(from int, copied bool) {
	if f.runs != nil {
		f.runs = append(f.runs, run{len(f.out.buf), from, copied})
	}
}

// Customs gives the custom sections whose names begin with a prefix. A module that cannot be read has none.
func Customs(wasm []byte, prefix string) (sections map[string][]byte) {
	sections = make(map[string][]byte)
	defer func() {
		if r := recover(); r != nil {
			if _, broken := r.(fault); !broken {
				panic(r)
			}
		}
	}()
	r := &reader{data: wasm}
	r.bytes(8)
	for r.more() {
		id, s := r.byte(), r.part(r.u32())
		if id != secCustom {
			continue
		}
		if name := s.name(); strings.HasPrefix(name, prefix) {
			sections[name] = s.data[s.at:]
		}
	}
	return sections
}
