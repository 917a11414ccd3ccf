package instrument_test

import (
	"bytes"
	"slices"
	"testing"

	"lockstep/wasmabi/instrument"
)

// An explanation says of each function what the rewriting does to it.
func TestExplain(t *testing.T) {
	e, err := instrument.Explain(read(t, "depth"), instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ folded, counted bool }{
		{true, false},  // leaf
		{false, false}, // chain: it calls, but what it calls is known
		{false, true},  // self
		{false, true},  // through the table
		{false, false}, // chained
		{false, true},  // caller of self
	} {
		f := e.Functions[i]
		if f.Index != i || f.Folded != want.folded || f.Counted != want.counted || f.Cost <= 0 || f.Size <= 0 {
			t.Errorf("function %d is %+v, want %+v", i, f, want)
		}
	}
	// chain pays for itself, two calls, and the leaf twice.
	if leaf, chain := e.Functions[0].Cost, e.Functions[1].Cost; chain != 1+2*3+2*leaf {
		t.Errorf("chain costs %d, and the leaf that it calls twice %d", chain, leaf)
	}
	for _, want := range []instrument.Limit{
		{Name: "bytes of the module", Have: len(read(t, "depth")), Max: 32 << 20},
		{Name: "elements of all segments", Have: 1, Max: 1_000_000}, {Name: "entries of all tables", Have: 1, Max: 1_000_000},
	} {
		if !slices.Contains(e.Limits, want) {
			t.Errorf("limits are %v, want %v among them", e.Limits, want)
		}
	}
	without, err := instrument.Explain(module(onePage), instrument.Config{MaxMemoryPages: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range without.Limits {
		want := map[string]int{"bytes of the module": 13, "pages of memory at the start": 1}[l.Name]
		if l.Have != want || l.Name == "pages of memory at the start" && l.Max != 7 {
			t.Errorf("of a module with a memory and nothing else, %s are %d of %d", l.Name, l.Have, l.Max)
		}
	}
	flow, err := instrument.Explain(read(t, "flow"), instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	// stored: one subtraction is stored twice, and made canonical once.
	if got := flow.Functions[2].Canonical; got != 1 {
		t.Errorf("a NaN that is stored twice is made canonical at %d places", got)
	}
	if _, err := instrument.Explain([]byte("no module"), instrument.Config{}); err == nil {
		t.Error("what is no module is explained")
	}
}

// Callers pay for what is small, and that nothing else calls.
func TestFolded(t *testing.T) {
	pair := []byte{0x41, 0, 0x1a}                   // i32.const; drop: 2 gas
	small := bytes.Repeat(pair, 50)                 // 100
	large := append(small[3:], 0x41, 0, 0x45, 0x1a) // with i32.eqz: 101
	body := func(b []byte) []byte { return sized(append(append([]byte{0}, b...), 0x0b)) }
	codes := func(bodies ...[]byte) []byte {
		return long(10, append([]byte{byte(len(bodies))}, bytes.Join(bodies, nil)...))
	}
	imported, two := section(2, 1, 1, 'a', 1, 'b', 0, 0), section(3, 2, 0, 0)
	for _, c := range []struct {
		name   string
		wasm   []byte
		folded bool
		cost   int64 // of the last function
	}{
		{"small", module(nullary, oneFunc, codes(body(small))), true, 100},
		{"large", module(nullary, oneFunc, codes(body(large))), false, 101},
		{"exported", module(nullary, oneFunc, export("f", 0), codes(body(pair))), false, 2},
		{"start", module(nullary, oneFunc, section(8, 0), codes(body(pair))), false, 2},
		{"in a table", module(nullary, oneFunc, section(4, 1, 0x70, 0, 1), section(9, 1, 0, 0x41, 0, 0x0b, 1, 0), codes(body(pair))), false, 2},
		{"called", module(nullary, two, codes(body(small), body([]byte{0x10, 0}))), true, 103},
		{"called behind an import", module(nullary, imported, two, codes(body(small), body([]byte{0x10, 1}))), true, 103},
		{"start behind an import", module(nullary, imported, oneFunc, section(8, 1), codes(body(pair))), false, 2},
	} {
		e, err := instrument.Explain(c.wasm, instrument.Config{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if last := e.Functions[len(e.Functions)-1]; e.Functions[0].Folded != c.folded || last.Cost != c.cost {
			t.Errorf("%s: folded is %v, want %v; the last costs %d, want %d", c.name, e.Functions[0].Folded, c.folded, last.Cost, c.cost)
		}
	}
}
