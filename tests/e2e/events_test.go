package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/client"
	"lockstep/host"
	"lockstep/host/protocol"
)

// emit has the effects guest emit a number; emitted is that event.
func emit(i uint32) []byte { return append(cmd(1, 9, 4), emitted(i)...) }

func emitted(i uint32) []byte { return binary.LittleEndian.AppendUint32(nil, i) }

// effects emits what its inputs say, and greets on its own account.
func effects(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../host/guesttest/testdata/effects.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// next wants the next event of an input.
func next(t *testing.T, s *client.Subscription) client.Event {
	t.Helper()
	for {
		e, err := s.Next(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		if e.Source == host.EventOfInput {
			return e
		}
	}
}

// A subscriber gets every event once and in order, from where it asked, while a
// replica goes and comes back, and whatever of the messages it missed.
func TestSubscribe(t *testing.T) {
	c, cl := deployed(t, "effects", effects(t), host.Config{})
	reader := connect(t, c, "effects")
	live, err := reader.Subscribe(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	var calls sync.WaitGroup
	calls.Go(func() {
		for i := range uint32(n) {
			if _, err := cl.Call(t.Context(), emit(i)); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			if i == n/2 {
				c.Kill(2)
			}
		}
	})
	var seen []client.Event
	for len(seen) < n {
		seen = append(seen, next(t, live))
	}
	calls.Wait()
	check := func(what string, got client.Event, i int) {
		t.Helper()
		if string(got.Data) != string(emitted(uint32(i))) || i > 0 && got.Seq <= seen[i-1].Seq {
			t.Fatalf("%s: event %d is %q at seq %d", what, i, got.Data, got.Seq)
		}
	}
	for i, e := range seen {
		check("live", e, i)
	}
	// One that comes later gets them too, and one that resumes gets the rest.
	for _, from := range []int{0, n / 3, n - 1} {
		late, err := reader.Subscribe(within(t, patience), seen[from].Seq)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < n; i++ {
			check(fmt.Sprint("from event ", from), next(t, late), i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if e, err := late.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the last event: %+v, %v", e, err)
		}
		cancel()
		if err := late.Close(); err != nil {
			t.Error(err)
		}
		if _, err := late.Next(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("next of a closed subscription: %v", err)
		}
	}
	if err := c.Restart(within(t, patience), 2); err != nil {
		t.Fatal(err)
	}
	verify(t, c, "effects")
}

// An event that one replica states alone is none.
func TestEventOfOneReplica(t *testing.T) {
	dir := t.TempDir()
	c := startIn(t, dir, "effects", nil)
	cl := connect(t, c, "effects")
	deploy(t, c, cl, effects(t), host.Config{})
	s, err := cl.Subscribe(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	p := replace(t, c, dir, "effects")
	p.emit(p.info.Seq+1, "lie")
	at := call(t, cl, emit(7)).Seq
	if e := next(t, s); e.Seq != at || string(e.Data) != string(emitted(7)) {
		t.Errorf("first event is %q at seq %d, want that of seq %d", e.Data, e.Seq, at)
	}
}

// A replica that answers requests for events in everybody's name, saying that they are
// gone, or that there were others, ends no subscription and adds nothing to it.
func TestPagesOfOneReplica(t *testing.T) {
	dir := t.TempDir()
	c := startIn(t, dir, "effects", nil)
	cl := connect(t, c, "effects")
	deploy(t, c, cl, effects(t), host.Config{})
	first := call(t, cl, emit(0)).Seq
	for i := range uint32(9) {
		call(t, cl, emit(i+1))
	}
	p := replace(t, c, dir, "effects")
	asked := make(chan struct{}, 1024)
	if _, err := p.conn.Subscribe(protocol.QuerySubject("effects"), func(m *nats.Msg) {
		var q protocol.EventsSince
		if protocol.EventsSinceFormat.Decode(m.Data, &q) != nil {
			return
		}
		for i := range 3 {
			page := protocol.EventsPage{
				Machine: "effects", Replica: c.Name(i), Request: protocol.QuestionDigest(m.Data),
				First: q.From + 1000, Last: 1 << 60, At: 1 << 60, Votes: []protocol.EventsVote{p.vote(q.From, "lie")},
			}
			page.Sign(p.key)
			_ = m.Respond(protocol.EventsPageFormat.Encode(page))
		}
		asked <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	late, err := connect(t, c, "effects").Subscribe(within(t, patience), first)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(10) {
		if e := next(t, late); string(e.Data) != string(emitted(i)) {
			t.Fatalf("event %d is %q at seq %d", i, e.Data, e.Seq)
		}
	}
	// One that waits is not told that what it waits for is gone either.
	call(t, cl, emit(10))
	if e := next(t, late); string(e.Data) != string(emitted(10)) {
		t.Errorf("event is %q at seq %d", e.Data, e.Seq)
	}
	if len(asked) == 0 {
		t.Error("the liar was never asked: the test shows nothing")
	}
}

// Events that no majority keeps any more are an error that says from where on they are
// kept, and not a wait for ever.
func TestEventsThatAreGone(t *testing.T) {
	c, cl := deployed(t, "effects", effects(t), host.Config{})
	first := call(t, cl, emit(0)).Seq
	at, err := cl.Checkpoint(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Len() {
		await(t, "the checkpoint on disk", func() bool {
			stored := c.Node(i).Replica("effects").Info().Stored
			return len(stored) > 0 && stored[len(stored)-1].Seq >= at.Seq
		})
		c.Kill(i)
		if err := c.Restart(within(t, patience), i); err != nil {
			t.Fatal(err)
		}
		await(t, "the replica's vote", func() bool { return c.Node(i).Replica("effects").Info().Phase == host.PhaseVoting })
	}
	s, err := cl.Subscribe(within(t, patience), first)
	if err != nil {
		t.Fatal(err)
	}
	var gone *client.EventsGoneError
	if e, err := s.Next(within(t, patience)); !errors.As(err, &gone) || gone.From != first || gone.First <= first {
		t.Fatalf("next is %+v, %v, want that it is gone", e, err)
	}
	if s, err = cl.Subscribe(within(t, patience), gone.First); err != nil {
		t.Fatal(err)
	}
	call(t, cl, emit(1))
	if e := next(t, s); string(e.Data) != string(emitted(1)) {
		t.Errorf("event is %q at seq %d", e.Data, e.Seq)
	}
}
