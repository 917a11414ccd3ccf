package instrument_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"lockstep/wasmabi/instrument"
)

// Large operations on ranges are done in slices, with the same effect: to the
// byte, with ranges that overlap, and nothing is written by one that traps.
func TestBulkSlices(t *testing.T) {
	const size, slice = 80 << 16, 1 << 20
	wasm := instrumented(t, read(t, "bulk")).Wasm
	for kind, config := range engines {
		t.Run(kind, func(t *testing.T) {
			i := run(t, config(), wasm)
			want := make([]byte, size)
			source := rand.New(rand.NewPCG(1, 2))
			for at := range want {
				want[at] = byte(source.Uint32())
			}
			i.Memory().Write(0, want)
			for _, tc := range []struct {
				name     string
				to, from uint32
				n        uint32
				gas      int64
				traps    bool
			}{
				{"fill", 5, 0xab, slice, 53 + slice/8, false},
				{"fill", 5, 0xac, slice + 1, 53 + slice/8, false},
				{"fill", 9, 0xad, 2*slice + 3, 53 + 2*slice/8, false},
				{"fill", size - 3*slice, 0xae, 3 * slice, 53 + 3*slice/8, false},
				{"fill", size - 3*slice + 1, 0xaf, 3 * slice, 53 + 3*slice/8, true},
				{"fill", 1<<32 - slice, 0xb0, slice + 70000, 53 + (slice+70000)/8, true},
				{"copy", 3, 70003, 2*slice + 17, 53 + (2*slice+17)/8, false},
				{"copy", 70003, 3, 2*slice + 17, 53 + (2*slice+17)/8, false},
				{"copy", 1, 0, 3 * slice, 53 + 3*slice/8, false},
				{"copy", 0, 1, 3 * slice, 53 + 3*slice/8, false},
				{"copy", 7, 7, 3 * slice, 53 + 3*slice/8, false},
				{"copy", size - 2*slice, 2 * slice, 2 * slice, 53 + 2*slice/8, false},
				{"copy", 2 * slice, size - 2*slice, 2 * slice, 53 + 2*slice/8, false},
				{"copy", 0, size - 2*slice + 1, 2 * slice, 53 + 2*slice/8, true},
				{"copy", size - 2*slice + 1, 0, 2 * slice, 53 + 2*slice/8, true},
				{"copy", 0, 1<<32 - slice, 2 * slice, 53 + 2*slice/8, true},
			} {
				if !tc.traps && tc.name == "copy" {
					copy(want[tc.to:tc.to+tc.n], want[tc.from:tc.from+tc.n])
				} else if !tc.traps {
					copy(want[tc.to:tc.to+tc.n], bytes.Repeat([]byte{byte(tc.from)}, int(tc.n)))
				}
				_, used, err := i.metered(tc.name, uint64(tc.to), uint64(tc.from), uint64(tc.n))
				if (err != nil) != tc.traps || used != tc.gas {
					t.Errorf("%+v: %v, %d gas", tc, err, used)
				}
				if got, _ := i.Memory().Read(0, size); !bytes.Equal(got, want) {
					t.Fatalf("%+v: memory differs", tc)
				}
			}
		})
	}
}

// What a call uses, and where it ends, does not depend on how gas is handed out.
func TestGasSlices(t *testing.T) {
	wasm := instrumented(t, read(t, "bulk")).Wasm
	for kind, config := range engines {
		i := run(t, config(), wasm)
		const n, price = 8 * 300_000, 53 + 300_000
		for _, tc := range []struct {
			gas, reserve int64
			left         int64
		}{
			{price, 0, 0}, {price - 1, 0, -1}, {0, price, 0}, {0, price - 1, -1}, {10, price, 10}, {instrument.Slice, 10 * price, instrument.Slice + 9*price},
			{price - 1, 1, 0}, {1, price - 1, 0}, {1, price - 2, -1},
		} {
			i.set(instrument.ExportGas, uint64(tc.gas))
			i.set(instrument.ExportReserve, uint64(tc.reserve))
			_, err := i.call("fill", 0, 1, n)
			gas, reserve := int64(i.ExportedGlobal(instrument.ExportGas).Get()), int64(i.ExportedGlobal(instrument.ExportReserve).Get())
			if left := gas + reserve; left != tc.left || (err != nil) != (left < 0) || gas > max(tc.gas, instrument.Slice) {
				t.Errorf("%s: %+v: %v, %d gas left and %d in reserve", kind, tc, err, gas, reserve)
			}
		}
	}
}
