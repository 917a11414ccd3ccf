package node

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"lockstep/ordering"
)

// Nothing that states something about an entry leaves before the entry is durable, and
// everything leaves then, in order.
func TestOutboxWaitsForTheDisk(t *testing.T) {
	var sent []string
	o := outbox{send: func(subject string, data []byte) { sent = append(sent, subject+string(data)) }}
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(sent, want) {
			t.Fatalf("sent %q, want %q", sent, want)
		}
		sent = nil
	}
	o.put(1, "a", []byte("1"))
	o.put(2, "a", []byte("2"))
	o.put(2, "b", []byte("2"))
	o.put(4, "a", []byte("4"))
	expect()
	o.release(1)
	expect("a1")
	o.release(3)
	expect("a2", "b2")
	o.put(3, "a", []byte("3"))
	expect("a3")
	o.put(5, "a", []byte("5"))
	o.shut()
	o.release(9)
	o.put(1, "a", []byte("1"))
	expect()
	o.open(7)
	o.put(7, "a", []byte("7"))
	o.put(8, "a", []byte("8"))
	expect("a7")
}

// A replica whose journal cannot be written to says so once, and again when it can be.
func TestStallIsToldOnce(t *testing.T) {
	var events []string
	n := &Node{opts: Options{OnEvent: func(e Event) { events = append(events, fmt.Sprint(e.Kind, e.Err)) }}}
	r := &Replica{node: n, logger: slog.New(slog.DiscardHandler), room: make(chan struct{}, 1)}
	full := errors.New("no room")
	r.synced(ordering.Position{Seq: 1}, full)
	r.synced(ordering.Position{Seq: 1}, full)
	if !errors.Is(r.Stalled(), full) {
		t.Errorf("stalled: %v", r.Stalled())
	}
	r.synced(ordering.Position{Seq: 2}, nil)
	if r.Stalled() != nil {
		t.Errorf("stalled: %v", r.Stalled())
	}
	r.synced(ordering.Position{Seq: 2}, full)
	if want := []string{"stalledno room", "stalledno room"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}
