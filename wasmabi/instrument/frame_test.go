package instrument_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"lockstep/wasmabi/instrument"
)

// recursive is a module whose one function, exported as "f", has n locals of a
// type and runs a body that calls it.
func recursive(n int, typ byte, body []byte) []byte {
	leb := func(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }
	sized := func(b []byte) []byte { return append(leb(len(b)), b...) }
	f := append(append([]byte{1}, leb(n)...), typ)
	f = append(append(f, body...), 0x0b)
	return module(nullary, oneFunc, onePage, export("f", 0), append([]byte{10}, sized(append([]byte{1}, sized(f)...))...))
}

// Recursion ends by the module's own count on both engines, after the same gas,
// however large the frames are: before wazero's compiler has no stack left.
func TestFrames(t *testing.T) {
	load := map[byte][]byte{0x7e: {0x41, 0, 0x29, 3, 8}, 0x7b: {0x41, 0, 0xfd, 0, 4, 16}}
	add := map[byte][]byte{0x7e: {0x7c}, 0x7b: {0xfd, 0xae, 1}}
	call := []byte{0x10, 0}
	set := func(i int) []byte { return binary.AppendUvarint([]byte{0x21}, uint64(i)) }
	get := func(i int) []byte { return binary.AppendUvarint([]byte{0x20}, uint64(i)) }
	// what is not used in the end is not kept by a compiler
	store := func(typ byte, i int) []byte {
		return append(append([]byte{0x41, 0}, get(i)...), map[byte][]byte{0x7e: {0x37, 3, 8}, 0x7b: {0xfd, 11, 4, 16}}[typ]...)
	}
	// regions of operands that wait for a call, one after the other
	regions := func(typ byte, n, operands int) []byte {
		var b []byte
		for range n {
			b = append(b, bytes.Repeat(load[typ], operands)...)
			b = append(append(append(b, call...), bytes.Repeat(add[typ], operands-1)...), set(0)...)
		}
		return recursive(1, typ, append(b, store(typ, 0)...))
	}
	// values of a local, each needed after a call of its own
	values := func(typ byte, n, of int) []byte {
		var b []byte
		for i := range n {
			b = append(append(b, load[typ]...), set(i%of)...)
			b = append(b, call...)
			b = append(append(append(append(b, get(i%of)...), get((i+1)%of)...), add[typ]...), set(i%of)...)
		}
		for i := range of {
			b = append(b, store(typ, i)...)
		}
		return recursive(of, typ, b)
	}
	for name, c := range map[string]struct {
		wasm   []byte
		weight int
	}{
		"few regions":           {regions(0x7e, 20, 250), 8},
		"many regions":          {regions(0x7e, 100, 250), 37},
		"many narrow regions":   {regions(0x7e, 2000, 6), 7},
		"regions of vectors":    {regions(0x7b, 20, 250), 15},
		"narrow ones of those":  {regions(0x7b, 2000, 6), 14},
		"values of a local":     {values(0x7e, 3000, 1), 3},
		"values of some locals": {values(0x7e, 3000, 40), 3},
		"vectors of locals":     {values(0x7b, 3000, 40), 6},
		"many locals":           {values(0x7e, 4000, 4000), 8},
	} {
		e, err := instrument.Explain(c.wasm, instrument.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Functions[0].Weight; got != c.weight {
			t.Errorf("%s: a call weighs %d, want %d", name, got, c.weight)
		}
		m := instrumented(t, c.wasm)
		gas := make(map[string]int64)
		for engine, config := range engines {
			i := run(t, config(), m.Wasm)
			i.set(instrument.ExportGas, math.MaxInt64)
			i.set(instrument.ExportStack, instrument.MaxDepth)
			if _, err := i.call("f"); err == nil {
				t.Errorf("%s, %s: endless recursion ends", name, engine)
			}
			gas[engine] = math.MaxInt64 - int64(i.ExportedGlobal(instrument.ExportGas).(api.MutableGlobal).Get())
			if i.stack() >= 0 {
				t.Errorf("%s, %s: the engine's own stack ended first, with %d of %d left", name, engine, i.stack(), instrument.MaxDepth)
			}
		}
		if gas["compiler"] != gas["interpreter"] {
			t.Errorf("%s: gas differs: %v", name, gas)
		}
	}
}

// Calls that cannot come back are counted where a chain of them is long, and each loop adds to a frame.
func TestChains(t *testing.T) {
	body := func(b ...byte) []byte { return sized(append(append([]byte{0}, b...), 0x0b)) }
	for _, n := range []int{256, 257} {
		content := leb(n)
		for i := 1; i < n; i++ {
			content = append(content, body(append([]byte{0x10}, leb(i)...)...)...)
		}
		content = append(content, body()...)
		e, err := instrument.Explain(module(nullary, repeated(3, n, 0), long(10, content)), instrument.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range e.Functions {
			if want := n-i > 256; f.Counted != want {
				t.Errorf("function %d of a chain of %d: counted is %v, want %v", i, n, f.Counted, want)
			}
		}
	}
	loops := bytes.Repeat([]byte{0x03, 0x40, 0x0b}, 1300) // 32 bytes each: 41,600 of 16,384
	e, err := instrument.Explain(module(nullary, oneFunc, oneBody(0, loops)), instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Functions[0].Weight; got != 3 {
		t.Errorf("a function of 1,300 loops weighs %d, want 3", got)
	}
}
