package instrument_test

import (
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
	for _, l := range e.Limits {
		if l.Name == "" || l.Have > l.Max {
			t.Errorf("limit %+v of a module that is accepted", l)
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
