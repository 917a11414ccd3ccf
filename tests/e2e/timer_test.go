package e2e

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"

	"lockstep/host"
	"lockstep/ordering"
)

// A timer fires though nobody asks the machine anything, on all replicas alike,
// also with the replica down whose turn it is first; and the log moves for
// timers that are due only.
func TestTimerFiresOnAnIdleMachine(t *testing.T) {
	wasm, err := os.ReadFile("../../host/guesttest/testdata/effects.wasm")
	if err != nil {
		t.Fatal(err)
	}
	c, cl := deployed(t, "idle", wasm, host.Config{})
	survivor := c.Node(1).Replica("idle")
	fired := func() (ids []int64) {
		if err := survivor.Do(within(t, patience), func(m *host.Machine) {
			out := m.Query(nil, host.ClientID{}).Output
			for i := 0; i < len(out); i += 8 {
				ids = append(ids, int64(binary.LittleEndian.Uint64(out[i:])))
			}
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	setTimer := func(id int64, in time.Duration) {
		b := binary.LittleEndian.AppendUint64([]byte{2}, uint64(id))
		call(t, cl, binary.LittleEndian.AppendUint64(b, uint64(time.Now().Add(in).UnixNano())))
	}
	end := func() ordering.Seq {
		state, err := survivor.LogState(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		return state.Last
	}
	await(t, "timer of init", func() bool { return slices.Equal(fired(), []int64{100}) })
	setTimer(3, time.Hour)
	setTimer(1, 300*time.Millisecond)
	setTimer(2, 800*time.Millisecond)
	await(t, "timers 1 and 2", func() bool { return slices.Equal(fired(), []int64{100, 1, 2}) })
	verify(t, c, "idle")

	c.Kill(0)
	setTimer(4, 100*time.Millisecond)
	await(t, "timer 4 with one replica down", func() bool { return slices.Equal(fired(), []int64{100, 1, 2, 4}) })
	before := end()
	setTimer(5, 2*time.Second)
	await(t, "timer 5", func() bool { return slices.Equal(fired(), []int64{100, 1, 2, 4, 5}) })
	// The input and a tick; and on a busy machine some more, of a client or a replica that was late to see them.
	if moved := end() - before; moved > 12 {
		t.Errorf("the log moved by %d entries in two idle seconds, want an input and a tick", moved)
	}
}
