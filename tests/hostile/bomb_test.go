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
// live across branches, that meet at the ends of blocks, loops in loops; what is left is straight code that loads.
func bomb(size int) []byte {
	m := newModule()
	none := m.typ(nil, nil)
	quota := size - 50_000 // the module's size is not known to the byte
	live, looped, met := 1_000_000+4*quota, 100_000+quota/8, 100_000+quota/4
	met -= live / 2000 // what sets the locals that live
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
		branches := min(live, 1_990_000)/(3*across+3) - 1
		if branches < 1 {
			break
		}
		m.fn(none, across, i64, waiting(across, times(branches, step)))
		live -= (branches*3+1)*across + branches*3
	}
	straight := times(4_000, cat(con(0), load, drop))
	for used := len(m.bytes()); used < size-len(straight); used += len(straight) + 10 {
		m.fn(none, 0, i32, straight)
	}
	return m.apply()
}

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
		case "values that live across branches", "loops in loops", "values that meet at the ends of blocks":
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
