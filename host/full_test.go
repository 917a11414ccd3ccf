package host_test

import (
	"testing"

	"lockstep/host"
	"lockstep/wasmabi"
)

// message is what a server takes by default.
const message = 1 << 20

func full(r host.Receipt) bool {
	return r.Status == wasmabi.Refused && host.Refusal(r.Code) == host.RefusedEntryFull
}

// Whatever its inputs put out, the receipts of an entry fit into a message. Inputs that
// there was no room for are not applied, and are when they come again.
func TestOutputsOfAnEntryFitAMessage(t *testing.T) {
	for _, size := range []uint32{1, 1 << 10, 200 << 10, 447 << 10, 448 << 10, wasmabi.MaxOutput} {
		w := newWorld(t, probe(t))
		b := deployed(t, w, probe(t))
		b.apply(batch(0, 1, cmd(6, 7))) // memory for the largest output
		inputs := make([][]byte, host.MaxBatch)
		for i := range inputs {
			inputs[i] = cmd(9, 0, size)
		}
		left := len(inputs)
		for entries := 0; left > 0 && entries < 4; entries++ {
			floor := uint64(2 + len(inputs) - left)
			tr, r := b.apply(batch(floor, floor, inputs[:left]...))
			if n := len(tr.Reply.Receipts); n > message-4096 {
				t.Fatalf("outputs of %d bytes: the receipts have %d", size, n)
			}
			ran := 0
			for ran < len(r) && !full(r[ran]) {
				if r[ran].Status != wasmabi.OK || len(r[ran].Output) != int(size) {
					t.Fatalf("outputs of %d bytes: %v, %v", size, r[ran].Status, r[ran].Trap)
				}
				ran++
			}
			for _, rest := range r[ran:] {
				if !full(rest) {
					t.Fatalf("outputs of %d bytes: an input was run after the entry was full: %+v", size, rest)
				}
			}
			if ran == 0 || ran < left && uint32(ran)*size < 448<<10 {
				t.Fatalf("outputs of %d bytes: %d of %d inputs were run", size, ran, left)
			}
			left -= ran
		}
	}
}

// What was applied is answered again from the window by the same rule, so that the
// retry of an entry has the receipts that it had.
func TestRetryOfAFullEntry(t *testing.T) {
	w := newWorld(t, probe(t))
	b := deployed(t, w, probe(t))
	_, grown := b.apply(batch(0, 9, cmd(6, 7), count))
	before := number(t, grown[1])
	big := cmd(9, 0, 300<<10)
	_, first := b.apply(batch(1, 1, big, big, big, count))
	_, again := b.apply(batch(1, 1, big, big, big, count))
	for i := range first {
		if full(first[i]) != (i >= 2) || full(again[i]) != (i >= 2) || i < 2 && !again[i].Duplicate {
			t.Errorf("input %d: %v, then %v", i, first[i].Status, again[i].Status)
		}
	}
	if _, r := b.apply(batch(1, 4, count)); number(t, r[0]) != before+3 { // two and itself
		t.Errorf("count is %d after %d: an input that was refused was applied", number(t, r[0]), before)
	}
}

// Nor do the events of an entry outgrow a message.
func TestEventsOfAnEntryFitAMessage(t *testing.T) {
	w := newWorld(t, effects(t))
	b := deployed(t, w, effects(t))
	var inputs [][]byte
	for range 100 {
		inputs = append(inputs, cmd(1, 0, wasmabi.MaxEventBytes))
	}
	tr, r := b.apply(batch(1, 1, inputs...))
	bytes, ran := 0, 0
	for _, e := range tr.Events {
		bytes += len(e.Data)
	}
	for _, receipt := range r {
		if !full(receipt) {
			ran++
		}
	}
	if bytes > message-64<<10 || ran < 8 || ran > len(tr.Events) {
		t.Errorf("%d inputs of 100 were run, with events of %d bytes", ran, bytes)
	}
}
