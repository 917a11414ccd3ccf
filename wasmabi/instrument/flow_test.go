package instrument_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/wasmabi/instrument"
)

// A NaN is the canonical one wherever its bits can be seen, however far that is
// from where it was made; and what is only moved keeps its bits.
func TestNaNFlow(t *testing.T) {
	wasm := instrumented(t, read(t, "flow")).Wasm
	operands := []uint32{0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fe12345, 0x7f800000, 0xff800000, 0, 0x80000000, 0x3f800000}
	for name, config := range engines {
		i := run(t, config(), wasm)
		seen := make(map[string]int)
		for export := range i.ExportedFunctionDefinitions() {
			for _, x := range operands {
				for _, y := range operands {
					v := i.must(export, uint64(x), uint64(y))
					switch {
					case strings.HasPrefix(export, "moved"):
						seen[export]++
						if v != x {
							t.Errorf("%s: %s(%08x, %08x) = %08x, want the first", name, export, x, y, v)
						}
					case v&0x7fffffff > 0x7f800000:
						seen[export]++
						if export != "sign" && v != 0x7fc00000 {
							t.Errorf("%s: %s(%08x, %08x) = %08x, want 7fc00000", name, export, x, y, v)
						}
					}
				}
			}
			if seen[export] == 0 {
				t.Errorf("%s made no NaN: the test tests nothing", export)
			}
		}
	}
	// Where the sign of a NaN makes a number, the engines must agree on it.
	a, b := run(t, engines["compiler"](), wasm), run(t, engines["interpreter"](), wasm)
	for _, x := range operands {
		for _, y := range operands {
			if va, vb := a.must("sign", uint64(x), uint64(y)), b.must("sign", uint64(x), uint64(y)); va != vb {
				t.Errorf("sign(%08x, %08x) is %08x and %08x", x, y, va, vb)
			}
		}
	}
}

// Dropping a segment is state that is exposed, and that memory.init obeys.
func TestDataDrop(t *testing.T) {
	m := instrumented(t, read(t, "drop"))
	if len(m.Globals) != 1 {
		t.Fatalf("globals are %v, want one for the segment", m.Globals)
	}
	for name, config := range engines {
		if _, err := run(t, config(), read(t, "drop")).call("active", 0, 4); err != nil {
			t.Errorf("%s no longer copies from an active segment: docs/engine-bugs.md, 2, is mended upstream", name)
		}
		i := run(t, config(), m.Wasm)
		if v := i.must("init", 0, 4); v != 0x64636261 {
			t.Errorf("%s: the segment is %#x", name, v)
		}
		i.must("active", 0, 0)
		for _, args := range [][]uint64{{0, 1}, {1, 0}, {0, 4}} {
			if _, err := i.call("active", args...); err == nil || !strings.Contains(err.Error(), "out of bounds memory access") {
				t.Errorf("%s: init%v of an active segment: %v", name, args, err)
			}
		}
		i.must("drop")
		i.must("drop")
		if v := i.ExportedGlobal(m.Globals[0].Name).Get(); v != 1 {
			t.Errorf("%s: after the drop %s is %d", name, m.Globals[0].Name, v)
		}
		i.must("init", 0, 0)
		for _, args := range [][]uint64{{0, 1}, {1, 0}, {0, 4}, {4, 0}} {
			if _, err := i.call("init", args...); err == nil || !strings.Contains(err.Error(), "out of bounds memory access") {
				t.Errorf("%s: init%v of a dropped segment: %v", name, args, err)
			}
		}
		if _, err := i.call("outside"); err == nil {
			t.Errorf("%s: init of nothing outside of memory did not trap", name)
		}
		i.set(m.Globals[0].Name, 0) // as a restore does
		if v := i.must("init", 0, 4); v != 0x64636261 {
			t.Errorf("%s: the restored segment is %#x", name, v)
		}
	}
}

// Each segment that is dropped has a flag of its own.
func TestDataDrops(t *testing.T) {
	m := instrumented(t, read(t, "drops"))
	if got := fmt.Sprint(m.Globals); got != "[{lockstep:global:0 127 0} {lockstep:global:4 127 4} {lockstep:global:5 127 5}]" {
		t.Errorf("globals are %s", got)
	}
	for name, config := range engines {
		i := run(t, config(), m.Wasm)
		for _, segment := range []string{"b", "a"} {
			i.must(segment)
			i.must("drop_" + segment)
			if _, err := i.call(segment); err == nil {
				t.Errorf("%s: %s is there after it was dropped", name, segment)
			}
		}
		for _, global := range m.Globals[1:] {
			if v := i.ExportedGlobal(global.Name).Get(); v != 1 {
				t.Errorf("%s: %s is %d", name, global.Name, v)
			}
			i.set(global.Name, 0)
		}
		if a, b := i.must("a"), i.must("b"); a != 0x64636261 || b != 0x68676665 {
			t.Errorf("%s: restored segments are %#x and %#x", name, a, b)
		}
	}
}

// Depth is counted where calls can come back, and leaves room for chains that
// are not counted.
func TestDepth(t *testing.T) {
	wasm := instrumented(t, read(t, "depth")).Wasm
	deepest := make(map[string]string)
	for name, config := range engines {
		i := run(t, config(), wasm)
		var figures []string
		for _, export := range []string{"self", "through", "caller"} {
			depth := uint64(0)
			for {
				if _, _, err := i.metered(export, depth+1); err != nil {
					break
				}
				depth++
			}
			if i.stack() >= 0 {
				t.Errorf("%s: %s overflows with a stack of %d", name, export, i.stack())
			}
			if depth < instrument.MaxDepth-5 || depth > instrument.MaxDepth {
				t.Errorf("%s: %s gets %d deep", name, export, depth)
			}
			figures = append(figures, fmt.Sprint(export, " ", depth))
		}
		_, self, _ := i.metered("self", 3)
		_, once, _ := i.metered("loops", 1)
		_, more, err := i.metered("loops", 11)
		// Each turn pays for the call, for 10 turns of 5 instructions, and for 12 of its own.
		if want := self + 50 + 12; err != nil || (more-once)/10 != want || (more-once)%10 != 0 {
			t.Errorf("%s: ten turns of a loop that calls cost %d, %v; the call costs %d", name, more-once, err, self)
		}
		i.set(instrument.ExportStack, 0)
		if v := i.must("chained", 1); v != 3 || i.stack() != 0 {
			t.Errorf("%s: a chain of known depth gives %d, and the stack is %d", name, v, i.stack())
		}
		if _, err := i.call("self", 0); err == nil {
			t.Errorf("%s: a function that counts runs without stack", name)
		}
		deepest[name] = strings.Join(figures, ", ")
	}
	if deepest["compiler"] != deepest["interpreter"] {
		t.Errorf("depths differ: %v", deepest)
	}
}
