package instrument_test

import (
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
		{Name: "elements of a segment", Have: 1, Max: 1_000_000}, {Name: "entries of a table", Have: 1, Max: 1_000_000},
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
