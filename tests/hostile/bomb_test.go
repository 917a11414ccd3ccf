package hostile

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"lockstep/wasmabi/instrument"
)

var bombSize = flag.Int("bomb", 1<<20, "bytes of the module that takes the longest to compile")

// bomb is a module of about so many bytes that is at all limits at once of what makes a compiler slow: values that
// live across branches, that meet at the ends of blocks, branches of a function, operands of calls, loops in loops; what is
// left is straight code.
func bomb(size int) []byte {
	m := newModule()
	none := m.typ(nil, nil)
	may := quotas(size - 50_000) // the module's size is not known to the byte
	live, looped, met, pairs := may["values that live across branches"], may["loops in loops"], may["values that meet at the ends of blocks"], may["pairs of branches in functions"]
	pairs -= 5 * live // of what follows
	met -= live / 2000
	for moved := may["operands of blocks and calls"] - 10_000; moved > 0; moved -= 500_000 {
		m.fn(none, 0, i32, callsOf1000(m, min(moved, 500_000)/2000-2))
	}
	const branches = 10_000
	for step := cat(memorySize, brIf(0)); pairs > branches*(branches+3); pairs -= branches * (branches + 3) {
		m.fn(none, 0, i32, times(branches, step))
	}
	const locals, loops, deep = 1000, 50, 145
	through := meetingIn(locals, loops)
	for met > locals*(loops+2) && live > locals*loops*6 {
		m.fn(none, locals, i32, through)
		met, live, looped = met-locals*(loops+1), live-locals*(loops*6+1), looped-loops*(loops+1)/2
	}
	nest := cat(times(deep, []byte{0x03, 0x40}), times(deep, cat(memorySize, brIf(0), []byte{0x0b})))
	for looped > deep*(deep+1) && live > deep*30 {
		m.fn(none, 2, i32, nest)
		looped, live = looped-deep*(deep+1)/2, live-deep*6*4
	}
	const across = 1000
	step := cat(memorySize, []byte{0x04, 0x40}, con(0), con(1), store, []byte{0x0b}) // if
	for live > 3_000 {
		branches := min(live, 3_990_000)/(3*across+3) - 1
		if branches < 1 {
			break
		}
		m.fn(none, across, i64, waiting(across, times(branches, step)))
		live -= (branches*3+1)*across + branches*3
	}
	// What is left is calls through the table, of which a compiler makes most, and at last what it makes little of.
	m.table, m.entries = 1, []uint32{0}
	for _, l := range limits(cat(m.bytes(), padding(max(1, size-len(m.bytes())-10)))) {
		if l.Name == "machine code" {
			may["machine code"] -= l.Have
		}
	}
	const perCall, perFunction = 240, 5_900_000
	indirect := cat(con(0), callIndirect(none))
	left := size - len(m.bytes()) - 1_000
	for code := may["machine code"] - 100_000; code > perFunction && left > perFunction/perCall*len(indirect); code -= perFunction {
		n := perFunction / perCall
		m.fn(none, 0, i32, times(n, indirect))
		left -= n*len(indirect) + 10
	}
	for nop := []byte{0x01}; left > 0; left -= 400_000 {
		m.fn(none, 0, i32, times(min(left, 399_000), nop))
	}
	return m.apply()
}

// quotas are what a module of a size may have of each that is limited.
func quotas(size int) map[string]int {
	may := make(map[string]int)
	for _, l := range limits(cat([]byte("\x00asm\x01\x00\x00\x00"), padding(size))) {
		may[l.Name] = l.Max
	}
	return may
}

func limits(wasm []byte) []instrument.Limit {
	e, err := instrument.Explain(wasm, instrument.Config{})
	if err != nil {
		panic(err)
	}
	return e.Limits
}

// padding is a section without a meaning.
func padding(size int) []byte { return cat([]byte{0}, sized(make([]byte, size))) }

// BenchmarkBomb is what such a module costs; its size is -bomb.
func BenchmarkBomb(b *testing.B) {
	wasm := bomb(*bombSize)
	b.Run("instrument", func(b *testing.B) {
		b.SetBytes(int64(len(wasm)))
		for b.Loop() {
			if _, err := instrument.Instrument(wasm, instrument.Config{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, e := range engines {
		b.Run(fmt.Sprint("compile/", e.Kind()), func(b *testing.B) {
			b.SetBytes(int64(len(wasm)))
			for b.Loop() {
				m, err := e.Compile(wasm, pages)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestBomb has the bomb be one: it uses up the limits, and is compiled in some seconds. `-bench Bomb -bomb=33554432`
// measures one of the largest size; docs/determinism.md has the figures.
func TestBomb(t *testing.T) {
	const size, limit = 128 << 10, time.Minute
	wasm := bomb(size)
	e, err := instrument.Explain(wasm, instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range e.Limits {
		switch l.Name {
		case "values that live across branches", "loops in loops", "values that meet at the ends of blocks", "pairs of branches in functions",
			"operands of blocks and calls":
			if l.Have < l.Max/2 {
				t.Errorf("%s: %d of %d are used", l.Name, l.Have, l.Max)
			}
		}
	}
	for _, e := range engines {
		start := time.Now()
		m, err := e.Compile(wasm, pages)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > limit {
			t.Errorf("%v: %d bytes took %v, want at most %v", e.Kind(), len(wasm), took, limit)
		} else {
			t.Logf("%v: %d bytes took %v", e.Kind(), len(wasm), took)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
