package overhead

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"lockstep/wasmabi/instrument"
)

// sample is an instruction whose price is compared with its time. Before it stands
// what it takes, the result of the one before among it; behind it what
// becomes of its result.
type sample struct {
	name          string
	before, after []byte
	code          []byte
}

// Locals of the samples: of each type one that goes through all of them and one that
// stays. 0 is the number of turns.
const (
	localI32 = 1
	localI64 = 3
	localF32 = 5
	localF64 = 7
	localV   = 9
)

func get(i byte) []byte { return []byte{0x20, i} }
func set(i byte) []byte { return []byte{0x21, i} }

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// of is an instruction from values of one type to one of another, which is turned
// back for nothing or little.
func of(name string, local byte, operands int, back []byte, code ...byte) sample {
	s := sample{name: name, before: get(local), code: code, after: cat(back, set(local))}
	for range operands - 1 {
		s.before = cat(s.before, get(local+1))
	}
	return s
}

func samples() []sample {
	wrap, extend := []byte{0xa7}, []byte{0xad}
	i32s := func(name string, n int, code ...byte) sample { return of("i32."+name, localI32, n, nil, code...) }
	i64s := func(name string, n int, code ...byte) sample { return of("i64."+name, localI64, n, nil, code...) }
	f64s := func(name string, n int, code ...byte) sample { return of("f64."+name, localF64, n, nil, code...) }
	vs := func(name string, n int, code ...byte) sample {
		return of(name, localV, n, nil, append([]byte{0xfd}, code...)...)
	}
	index := []byte{0x41, 0xf8, 0xff, 0, 0x71} // i32.const; i32.and
	return []sample{
		i32s("add", 2, 0x6a), i32s("mul", 2, 0x6c), i32s("div_s", 2, 0x6d), i32s("div_u", 2, 0x6e), i32s("rem_s", 2, 0x6f), i32s("rem_u", 2, 0x70),
		i32s("shl", 2, 0x74), i32s("rotl", 2, 0x77), i32s("clz", 1, 0x67), i32s("ctz", 1, 0x68), i32s("popcnt", 1, 0x69), i32s("eqz", 1, 0x45), i32s("lt_u", 2, 0x49),
		i64s("add", 2, 0x7c), i64s("mul", 2, 0x7e), i64s("div_s", 2, 0x7f), i64s("div_u", 2, 0x80), i64s("rem_s", 2, 0x81), i64s("rem_u", 2, 0x82),
		i64s("rotl", 2, 0x89), i64s("popcnt", 1, 0x7b),
		of("f32.add", localF32, 2, nil, 0x92), of("f32.div", localF32, 2, nil, 0x95), of("f32.sqrt", localF32, 1, nil, 0x91), of("f32.min", localF32, 2, nil, 0x96),
		f64s("add", 2, 0xa0), f64s("mul", 2, 0xa2), f64s("div", 2, 0xa3), f64s("sqrt", 1, 0x9f), f64s("min", 2, 0xa4), f64s("floor", 1, 0x9c), f64s("copysign", 2, 0xa6),
		of("i64.trunc_f64_s, back", localF64, 1, []byte{0xb9}, 0xb0), of("i64.trunc_f64_u, back", localF64, 1, []byte{0xba}, 0xb1),
		of("i64.trunc_sat_f64_u, back", localF64, 1, []byte{0xba}, 0xfc, 7), of("i32.trunc_sat_f64_s, back", localF64, 1, []byte{0xb7}, 0xfc, 2),
		of("i64.trunc_sat_f32_u, back", localF32, 1, []byte{0xb5}, 0xfc, 5),
		{"select", cat(get(localI32), get(localI32+1), get(localI32)), set(localI32), []byte{0x1b}},
		{"i32.load", cat(get(localI32), index), set(localI32), []byte{0x28, 2, 0}},
		{"i64.load", cat(get(localI64), wrap, index), set(localI64), []byte{0x29, 3, 0}},
		{"i32.store", cat(get(localI32), index, get(localI32+1)), nil, []byte{0x36, 2, 0}},
		{"global.get, global.set", nil, nil, []byte{0x23, 0, 0x41, 1, 0x6a, 0x24, 0}},
		{"call", get(localI32), set(localI32), []byte{0x10, 1}},
		{"call_indirect", cat(get(localI32), []byte{0x41, 0}), set(localI32), []byte{0x11, 1, 0}},
		{"br_table", nil, nil, cat([]byte{0x02, 0x40, 0x02, 0x40, 0x02, 0x40}, get(localI32), []byte{0x0e, 2, 0, 1, 2, 0x0b, 0x0b, 0x0b})},
		{"memory.size", nil, set(localI32), []byte{0x3f, 0}},
		{"memory.grow of nothing", []byte{0x41, 0}, set(localI32), []byte{0x40, 0}},
		{"memory.fill of 8", []byte{0x41, 0, 0x41, 0, 0x41, 8}, nil, []byte{0xfc, 11, 0}},
		{"memory.fill of 64 KiB", []byte{0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 4}, nil, []byte{0xfc, 11, 0}},
		{"memory.copy of 8", []byte{0x41, 0, 0x41, 16, 0x41, 8}, nil, []byte{0xfc, 10, 0, 0}},
		{"memory.copy of 32 KiB", []byte{0x41, 0, 0x41, 0x80, 0x80, 2, 0x41, 0x80, 0x80, 2}, nil, []byte{0xfc, 10, 0, 0}},
		vs("i8x16.add", 2, 0x6e), vs("i8x16.swizzle", 2, 0x0e), vs("i8x16.popcnt", 1, 0x62), vs("i8x16.shuffle", 2, 13, 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31),
		{"i8x16.shl", cat(get(localV), get(localI32)), set(localV), []byte{0xfd, 0x6b}}, {"i8x16.shr_s", cat(get(localV), get(localI32)), set(localV), []byte{0xfd, 0x6c}},
		{"i64x2.shr_s", cat(get(localV), get(localI32)), set(localV), []byte{0xfd, 0xcc, 1}},
		vs("i64x2.mul", 2, 0xd5, 1), vs("i32x4.dot_i16x8_s", 2, 0xba, 1),
		vs("f32x4.div", 2, 0xe7, 1), vs("f64x2.add", 2, 0xf0, 1), vs("f64x2.div", 2, 0xf3, 1), vs("f64x2.sqrt", 1, 0xef, 1), vs("f64x2.min", 2, 0xf4, 1), vs("f64x2.nearest", 1, 0x94, 1),
		vs("i32x4.trunc_sat_f32x4_u", 1, 0xf9, 1), vs("f32x4.convert_i32x4_u", 1, 0xfb, 1), vs("i32x4.trunc_sat_f64x2_u_zero", 1, 0xfd, 1),
		of("i64x2.extract_lane, splat", localV, 1, []byte{0xfd, 0x12}, 0xfd, 0x1d, 0), of("v128.any_true, splat", localV, 1, []byte{0xfd, 0x11}, 0xfd, 0x53),
		of("i8x16.bitmask, splat", localV, 1, []byte{0xfd, 0x11}, 0xfd, 0x64),
		{"i64.extend_i32_u, i32.wrap_i64", get(localI32), cat(wrap, set(localI32)), extend},
	}
}

const copies = 50 // of a sample in a turn

// module runs a sample many times.
func (s sample) module() []byte {
	leb := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	sized := func(b []byte) []byte { return cat(leb(len(b)), b) }
	one := cat(s.before, s.code, s.after)
	code := []byte{5, 2, 0x7f, 2, 0x7e, 2, 0x7d, 2, 0x7c, 2, 0x7b}
	code = cat(code,
		[]byte{0x41, 100}, set(localI32), []byte{0x41, 3}, set(localI32+1), []byte{0x42, 100}, set(localI64), []byte{0x42, 3}, set(localI64+1),
		[]byte{0x43, 0, 0, 0xc0, 0x3f}, set(localF32), []byte{0x43, 0, 0, 0x80, 0x3f}, set(localF32+1),
		[]byte{0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, set(localF64), []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, set(localF64+1))
	code = cat(code, []byte{0x03, 0x40})
	for range copies {
		code = cat(code, one)
	}
	code = cat(code, get(0), []byte{0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}) // i32.sub; local.tee; br_if; end
	code = cat(code, get(localI32), get(localI64), []byte{0xa7, 0x6a}, get(localF64), []byte{0xfc, 2, 0x6a}, get(localF32), []byte{0xfc, 0, 0x6a},
		get(localV), []byte{0xfd, 0x1b, 0, 0x6a, 0x0b})
	leaf := []byte{0, 0x20, 0, 0x0b}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		[]byte{1}, sized([]byte{2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f}), []byte{3}, sized([]byte{2, 0, 1}),
		[]byte{4}, sized([]byte{1, 0x70, 0, 1}), []byte{5}, sized([]byte{1, 0, 2}), []byte{6}, sized([]byte{1, 0x7f, 1, 0x41, 0, 0x0b}),
		[]byte{7}, sized(cat([]byte{1, 3}, []byte("run"), []byte{0, 0})), []byte{9}, sized([]byte{1, 0, 0x41, 0, 0x0b, 1, 1}),
		[]byte{10}, sized(cat([]byte{2}, sized(code), sized(leaf))))
}

// BenchmarkPrices reports what an instruction takes in compiled code without instrumentation, what it
// costs with it, and how many nanoseconds a unit of gas is: the table of prices is
// made so that these are alike.
func BenchmarkPrices(b *testing.B) {
	ctx := context.Background()
	for _, s := range samples() {
		b.Run(s.name, func(b *testing.B) {
			wasm := s.module()
			m, err := instrument.Instrument(wasm, instrument.Config{})
			if err != nil {
				b.Fatal(err)
			}
			gas := float64(used(b, m.Wasm, 101)-used(b, m.Wasm, 1)) / 100 / copies
			r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
			defer func() { _ = r.Close(ctx) }()
			instance, err := r.Instantiate(ctx, wasm)
			if err != nil {
				b.Fatal(err)
			}
			run := instance.ExportedFunction("run")
			const turns = 2000
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				if _, err := run.Call(ctx, turns); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			ns := float64(best.Nanoseconds()) / turns / copies
			if ns > gas {
				b.Errorf("%g gas buy %g ns: the price is too low", gas, ns)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ns, "ns")
			b.ReportMetric(gas, "gas")
			b.ReportMetric(ns/gas, "ns/gas")
		})
	}
}

// used is the gas of so many turns.
func used(t testing.TB, wasm []byte, turns uint64) uint64 {
	t.Helper()
	p := instantiate(t, wasm)
	p.gas.Set(1 << 40)
	if _, err := p.run.Call(context.Background(), turns); err != nil {
		t.Fatal(err)
	}
	return 1<<40 - p.gas.Get()
}
