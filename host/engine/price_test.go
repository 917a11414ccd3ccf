package engine

import (
	"math"
	"testing"

	"lockstep/host"
)

// Prices are behaviour: whoever changes one makes a new profile.
func TestPrices(t *testing.T) {
	r := newWASIRig(t)
	for _, f := range lockstepFuncs() {
		r.funcs[f.decl.Name] = f
	}
	for _, tc := range []struct {
		name string
		args []uint64
		want uint64
	}{
		{"input_size", nil, 64},
		{"input_read", []uint64{0, 4000, 0}, 64 + 25}, // of an input of 100 bytes
		{"input_read", []uint64{0, 4000, 100}, 64},
		{"output_write", []uint64{0, 4000}, 64 + 1000},
		{"time", nil, 64},
		{"seq", nil, 64},
		{"caller", []uint64{0}, 64},
		{"random", []uint64{0, 10}, 64 + 512 + 10},
		{"random", []uint64{0, 10}, 64 + 10},
		{"random_get", []uint64{0, 1000}, 64 + 1000},
		{"emit", []uint64{0, 400}, 64 + 128 + 100},
		{"log", []uint64{0, 400}, 64 + 100},
		{"fd_write", []uint64{1, 100, 2, 200}, 64 + 2*8 + 2*100},
		{"fd_write", []uint64{3, 100, 2, 200}, 64},
		{"clock_time_get", []uint64{0, 0, 0}, 64},
		{"poll_oneoff", []uint64{0, 10_000, 3, 9000}, 64 + 3*8},
		{"path_open", make([]uint64, 9), 64},
		{"sched_yield", nil, 64},
	} {
		r.priced(tc.name, tc.args)
		if got := math.MaxInt64 - uint64(r.guest.gasLeft()); got != tc.want {
			t.Errorf("%s%v cost %d gas, want %d", tc.name, tc.args, got, tc.want)
		}
		r.guest.setGas(math.MaxInt64)
	}
	defer func() {
		if got := recover(); got != trapOutOfGas || r.guest.gasLeft() >= 0 {
			t.Errorf("call ended with %v and %d gas left", got, r.guest.gasLeft())
		}
	}()
	r.guest.setGas(63)
	r.priced("seq", nil)
}

// priced calls with an input to read and two buffers to write.
func (r wasiRig) priced(name string, args []uint64) {
	r.write(100, 0, 400, 0, 400)
	r.guest.call = host.Call{Input: make([]byte, 100), Time: 1}
	r.call(name, args...)
}
