package instrument_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"

	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// sized puts the length before it.
func sized(b []byte) []byte { return append(leb(len(b)), b...) }

// long is a section of any length.
func long(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

// repeated is a section of n equal items.
func repeated(id byte, n int, item ...byte) []byte {
	return long(id, append(leb(n), bytes.Repeat(item, n)...))
}

// functions is a code section of n times a body.
func functions(n int, body []byte) []byte { return repeated(10, n, sized(body)...) }

// oneBody is a code section of one function with so many locals.
func oneBody(locals int, code ...[]byte) []byte {
	b := []byte{0}
	if locals > 0 {
		b = append(append([]byte{1}, leb(locals)...), 0x7f)
	}
	return functions(1, append(append(b, bytes.Join(code, nil)...), 0x0b))
}

// typeOf is a type section of one type, of n parameters and m results.
func typeOf(n, m int) []byte {
	return long(1, slices.Concat([]byte{1, 0x60}, sized(bytes.Repeat([]byte{0x7f}, n)), sized(bytes.Repeat([]byte{0x7f}, m))))
}

// Each limit of limits.go takes what is at it, and says so, and refuses one more by its name.
func TestLimits(t *testing.T) {
	constant := []byte{0x41, 0, 0x0b} // i32.const 0; end
	empty := append(append([]byte{0}, constant...), 0)
	block := []byte{0x02, 0x40, 0x0b}
	funcs := func(n int) []byte { return repeated(3, n, 0) }
	padding := long(0, make([]byte, 2_300_000))
	nops := func(size int) []byte { // of few instructions, so that they are soon read
		vector := append(append([]byte{0xfd, 12}, make([]byte, 16)...), 0x1a) // v128.const; drop
		size -= 2
		return functions(1, slices.Concat([]byte{0}, bytes.Repeat(vector, size/len(vector)), bytes.Repeat([]byte{1}, size%len(vector)), []byte{0x0b}))
	}
	for _, c := range []struct {
		name string
		at   int
		make func(n int) []byte
	}{
		{"types", 2_500, func(n int) []byte { return module(repeated(1, n, 0x60, 0, 0)) }},
		{"imports", 10_000, func(n int) []byte { return module(nullary, repeated(2, n, 1, 'a', 1, 'f', 0, 0)) }},
		{"functions", 100_000, func(n int) []byte { return module(nullary, funcs(n), functions(n, []byte{0, 0x0b})) }},
		{"globals", 10_000, func(n int) []byte { return module(repeated(6, n, 0x7f, 1, 0x41, 0, 0x0b)) }},
		{"globals and data segments that are dropped", 10_000, func(n int) []byte { // as many of each as the other
			var drops []byte
			for i := range n - n/2 {
				drops = slices.Concat(drops, []byte{0xfc, 9}, leb(i))
			}
			count := long(12, leb(n-n/2))
			return module(nullary, oneFunc, repeated(6, n/2, 0x7f, 1, 0x41, 0, 0x0b), count, oneBody(0, drops), repeated(11, n-n/2, 1, 0))
		}},
		{"exports", 10_000, func(n int) []byte { return module(nullary, oneFunc, repeated(7, n, 1, 'f', 0, 0), oneBody(0)) }},
		{"data segments", 100_000, func(n int) []byte { return module(onePage, repeated(11, n, empty...)) }},
		{"element segments", 100_000, func(n int) []byte { return module(section(4, 1, 0x70, 0, 0), repeated(9, n, empty...)) }},
		{"elements of all segments", 1_000_000, func(n int) []byte { // in two
			table := long(4, append([]byte{1, 0x70, 0}, leb(1_000_000)...))
			of := func(n int) []byte { return slices.Concat([]byte{0}, constant, leb(n), make([]byte, n)) }
			return module(nullary, oneFunc, table, long(9, slices.Concat([]byte{2}, of(n/2), of(n-n/2))), oneBody(0))
		}},
		{"tables", 100, func(n int) []byte { return module(repeated(4, n, 0x70, 0, 0)) }},
		{"entries of all tables", 1_000_000, func(n int) []byte {
			return module(long(4, slices.Concat([]byte{2, 0x70, 0}, leb(n/2), []byte{0x70, 0}, leb(n-n/2))))
		}},
		{"parameters and results of all types", 100_000, func(n int) []byte { // the last has what is over
			of := func(n int) []byte {
				return slices.Concat([]byte{0x60}, sized(bytes.Repeat([]byte{0x7f}, n)), []byte{0})
			}
			return module(long(1, slices.Concat([]byte{102}, bytes.Repeat(of(990), 101), of(n-101*990))))
		}},
		{"parameters of a type", 1000, func(n int) []byte { return module(typeOf(n, 0)) }},
		{"results of a type", 1000, func(n int) []byte { return module(typeOf(0, n)) }},
		{"bytes of a function", 512 << 10, func(n int) []byte { return module(nullary, oneFunc, nops(n)) }},
		{"locals of a function", 50_000, func(n int) []byte { return module(nullary, oneFunc, oneBody(n)) }},
		{"locals of all functions", 10_000_000, func(n int) []byte { // the last has what is over
			first := slices.Concat([]byte{1}, leb(50_000), []byte{0x7f, 0x0b})
			rest := slices.Concat([]byte{1}, leb(n-199*50_000-1), []byte{0x7f, 0x0b})
			one := []byte{1, 1, 0x7f, 0x0b}
			bodies := slices.Concat(leb(201), bytes.Repeat(sized(first), 199), sized(rest), sized(one))
			return module(nullary, funcs(201), long(10, bodies), padding) // locals live across a function's beginning
		}},
		{"nested blocks", 8192, func(n int) []byte {
			return module(nullary, oneFunc, oneBody(0, bytes.Repeat(block[:2], n-1), bytes.Repeat(block[2:], n-1)))
		}},
		{"labels of a br_table", 25_000, func(n int) []byte {
			return module(nullary, oneFunc, oneBody(0, []byte{0x41, 0, 0x0e}, leb(n), make([]byte, n+1)))
		}},
		{"values that live across branches of a function", 4_000_000, func(n int) []byte { // 1,000 locals, the function itself is a block
			return module(nullary, oneFunc, oneBody(1000, bytes.Repeat(block, (n-1)/1000)), padding)
		}},
		{"machine code of a function", 6_000_000, func(n int) []byte {
			const constant, truncation = 8, 248
			return module(nullary, oneFunc, oneBody(0, bytes.Repeat(truncate, n/truncation), bytes.Repeat([]byte{0x41, 0, 0x1a}, (n%truncation+constant-1)/constant)), padding)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := instrument.Explain(c.make(c.at), instrument.Config{})
			if err != nil {
				t.Fatalf("at the limit: %v", err)
			}
			for _, l := range e.Limits {
				if l.Name == c.name && (l.Have != c.at || l.Max != c.at) {
					t.Errorf("at the limit the explanation says %d of %d, want %d", l.Have, l.Max, c.at)
				}
			}
			wantTooMany(t, c.make(c.at+1), c.name)
		})
	}
	_, err := instrument.Instrument(make([]byte, wasmabi.MaxModule+1), instrument.Config{})
	if err == nil || !strings.HasPrefix(err.Error(), "too large: module has 33554433 bytes") {
		t.Errorf("a module of a byte over 32 MiB: %v", err)
	}
}

// A memory may have what the module, the machine and the engine let it have, and the least of these.
func TestMemoryLimit(t *testing.T) {
	const most = 65534 // the instrumented module declares one more, and wazero's compiler takes no 65,536
	memory := func(pages ...int) []byte {
		content := []byte{1, byte(len(pages) - 1)}
		for _, n := range pages {
			content = append(content, leb(n)...)
		}
		return module(long(5, content))
	}
	for _, c := range []struct {
		wasm    []byte
		machine uint32
		want    uint32 // 0 for refused
	}{
		{memory(1), 0, most}, {memory(1), most, most}, {memory(1), most + 1, most}, {memory(1), math.MaxUint32, most},
		{memory(most), 0, most}, {memory(most + 1), 0, 0}, {memory(most + 1), math.MaxUint32, 0},
		{memory(1), 16, 16}, {memory(16), 16, 16}, {memory(17), 16, 0},
		{memory(1, 3), 16, 3}, {memory(3, 3), 16, 3}, {memory(1, 20), 16, 16}, {memory(3, 2), 16, 0},
	} {
		m, err := instrument.Instrument(c.wasm, instrument.Config{MaxMemoryPages: c.machine})
		switch {
		case c.want == 0 && err == nil:
			t.Errorf("%x on a machine of %d is accepted", c.wasm, c.machine)
		case c.want > 0 && (err != nil || m.MaxPages != c.want):
			t.Errorf("%x on a machine of %d: %+v, %v, want %d pages", c.wasm, c.machine, m, err, c.want)
		}
	}
}

func wantTooMany(t *testing.T, wasm []byte, what string) {
	t.Helper()
	r := refusalOf(t, wasm, false)
	if r == nil || r.Reason != instrument.TooMany || !strings.HasPrefix(r.Detail, what) {
		t.Fatalf("one more: got %v, want over a limit: %s", r, what)
	}
}

// truncate is f32.const; i32.trunc_f32_s; drop.
var truncate = []byte{0x43, 0, 0, 0, 0, 0xa8, 0x1a}

// What lives across branches is counted for each stretch of code that a compiler makes.
func TestLive(t *testing.T) {
	const locals = 1000
	constant := []byte{0x41, 0}
	for _, c := range []struct {
		name string
		want int // stretches, with that of the function
		code []byte
	}{
		{"nothing", 1, nil},
		{"block under operands, as many as locals", 3, slices.Concat(bytes.Repeat(constant, locals), []byte{0x02, 0x40, 0x0b}, bytes.Repeat([]byte{0x1a}, locals))},
		{"block", 2, []byte{0x02, 0x40, 0x0b}},
		{"loop", 6, []byte{0x03, 0x40, 0x0b}},
		{"if", 4, []byte{0x41, 0, 0x04, 0x40, 0x0b}},
		{"br_if", 2, []byte{0x41, 0, 0x0d, 0}},
		{"br_table of 2 labels and another", 4, []byte{0x41, 0, 0x0e, 2, 0, 0, 0}},
		{"memory.grow", 10, []byte{0x41, 0, 0x40, 0, 0x1a}},
		{"memory.fill", 10, []byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0}},
		{"a NaN that is seen", 4, []byte{0x43, 0, 0, 0, 0, 0x91, 0xbc, 0x1a}}, // f32.sqrt; i32.reinterpret_f32; drop
		{"a NaN that is not", 1, []byte{0x43, 0, 0, 0, 0, 0x91, 0x1a}},
	} {
		e, err := instrument.Explain(module(nullary, oneFunc, onePage, oneBody(locals, c.code)), instrument.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range e.Limits {
			if strings.HasPrefix(l.Name, "values that live across branches") && l.Have/locals != c.want { // beside locals a few operands live
				t.Errorf("%s: %s are %d, want %d", c.name, l.Name, l.Have, c.want*locals)
			}
		}
	}
}

// What a compiler pays for grows with the module, from a part that any may have.
func TestQuotas(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(n int) []byte
		used func(n int) int
		may  func(bytes int) int
	}{
		{"values that live across branches",
			func(n int) []byte {
				return module(nullary, oneFunc, oneBody(1000, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, n-1)))
			},
			func(n int) int { return 1000 * n }, func(bytes int) int { return 1_000_000 + 4*bytes }},
		{"loops in loops",
			func(n int) []byte {
				return module(nullary, oneFunc, oneBody(0, bytes.Repeat([]byte{0x03, 0x40}, n), bytes.Repeat([]byte{0x0b}, n)))
			},
			func(n int) int { return n * (n + 1) / 2 }, func(bytes int) int { return 100_000 + bytes/8 }},
		{"values of locals that meet at the ends of blocks",
			func(n int) []byte { // each of 20 is set in 400 blocks, and meets at their ends and the function's
				set := bytes.Repeat([]byte{0x02, 0x40}, 400)
				for local := range byte(20) {
					set = append(set, 0x41, 0, 0x21, local)
				}
				set = append(set, bytes.Repeat([]byte{0x0b}, 400)...)
				return module(nullary, oneFunc, oneBody(20, bytes.Repeat(set, n)))
			},
			func(n int) int { return 20 * (400*n + 1) }, func(bytes int) int { return 100_000 + bytes/4 }},
		{"machine code",
			func(n int) []byte {
				body := slices.Concat([]byte{0}, bytes.Repeat(truncate, 10), []byte{0x0b})
				return module(nullary, repeated(3, n, 0), functions(n, body))
			},
			func(n int) int { return 2480 * n }, func(bytes int) int { return 8_000_000 + 12*bytes }},
		{"pairs of branches in functions",
			func(n int) []byte {
				return module(nullary, oneFunc, oneBody(0, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, n-1)))
			},
			func(n int) int { return n * n }, func(bytes int) int { return 650_000_000 + 150*bytes }},
		{"operands of blocks and calls",
			func(n int) []byte { // each block moves 1,000 four times; in two functions, that neither has too much machine code
				body := func(n int) []byte {
					return slices.Concat([]byte{0}, bytes.Repeat([]byte{0x41, 0}, 1000), bytes.Repeat([]byte{0x02, 0, 0x0b}, n), bytes.Repeat([]byte{0x1a}, 1000), []byte{0x0b})
				}
				return module(long(1, slices.Concat([]byte{2}, typeOf(1000, 1000)[4:], []byte{0x60, 0, 0})), section(3, 2, 1, 1),
					long(10, slices.Concat([]byte{2}, sized(body(n/2)), sized(body(n-n/2)))))
			},
			func(n int) int { return 4000 * n }, func(bytes int) int { return 1_000_000 + bytes/16 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sort.Search(30_000, func(n int) bool { return c.used(n+1) > c.may(len(c.make(n+1))) })
			e, err := instrument.Explain(c.make(n), instrument.Config{})
			if err != nil {
				t.Fatalf("%d: %v", n, err)
			}
			want := instrument.Limit{Name: strings.Replace(c.name, " of locals", "", 1), Have: c.used(n), Max: c.may(len(c.make(n)))}
			if !slices.Contains(e.Limits, want) {
				t.Errorf("the explanation has %s, want %v", fmt.Sprint(e.Limits), want)
			}
			wantTooMany(t, c.make(n+1), c.name)
		})
	}
	e, err := instrument.Explain(module(long(0, make([]byte, 31<<20))), instrument.Config{}) // as large as may be, nearly
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []instrument.Limit{
		{Name: "values that live across branches", Max: 64_000_000}, {Name: "pairs of branches in functions", Max: 2_400_000_000},
		{Name: "loops in loops", Max: 500_000}, {Name: "values that meet at the ends of blocks", Max: 3_200_000},
		{Name: "operands of blocks and calls", Max: 2_500_000}, {Name: "machine code", Max: 256_000_000},
	} {
		if !slices.Contains(e.Limits, want) {
			t.Errorf("of 31 MiB the explanation has %v, want %v", e.Limits, want)
		}
	}
}
