package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come that %s", what)
		}
	}
}

// TestDiskFills has a server alone see its disk fill up, and JetStream be switched off then, as it does itself where it cannot
// write. Streams refuse what is published as long as there is no room, and have all that they took afterwards.
func TestDiskFills(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	s, err := startOn(Options{Name: "n", Dir: t.TempDir(), ClientPort: -1, MaxStore: 1 << 30}, func(string) int64 { return free.Load() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	if err := ready(t, s); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", s.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "s", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	taken := 0
	publish := func() error {
		_, err := js.Publish("s", make([]byte, 1000))
		if err == nil {
			taken++
		}
		return err
	}
	refused := func() bool {
		var e *nats.APIError
		return errors.As(publish(), &e) && strings.Contains(e.Description, "resource limits exceeded")
	}
	takes := func() bool { return publish() == nil }
	await(t, "a message is taken", takes)
	if s.Full() != nil {
		t.Errorf("Full: %v", s.Full())
	}
	for range 2 {
		free.Store(Spare - 1)
		await(t, "messages are refused", refused)
		var full *FullError
		if err := s.Full(); !errors.As(err, &full) || full.Off || full.Free != Spare-1 {
			t.Errorf("Full: %v", err)
		}
		free.Store(Spare) // which is not enough yet
		await(t, "the server has seen that", func() bool {
			var full *FullError
			return errors.As(s.Full(), &full) && full.Free == Spare
		})
		if !refused() {
			t.Error("a message is taken though there is hardly room")
		}
		free.Store(enough)
		await(t, "messages are taken again", takes)
		await(t, "there is room", func() bool { return s.Full() == nil })
	}

	free.Store(0)
	await(t, "messages are refused", refused)
	if err := s.srv.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	await(t, "it is known that JetStream is off", func() bool {
		var full *FullError
		return errors.As(s.Full(), &full) && full.Off && strings.Contains(full.Error(), "JetStream is off")
	})
	if s.srv.JetStreamEnabled() {
		t.Error("JetStream is on though there is no room")
	}
	free.Store(1 << 40)
	await(t, "messages are taken again", takes)
	await(t, "there is room", func() bool { return s.Full() == nil })
	info, err := js.StreamInfo("s")
	if err != nil || info.State.Msgs != uint64(taken) {
		t.Errorf("the stream has %+v, %v; %d messages were taken", info, err, taken)
	}
	if a, err := s.srv.LookupAccount(server.DEFAULT_GLOBAL_ACCOUNT); err != nil || a.JetStreamUsage().Limits.MaxStore != -1 {
		t.Errorf("limits of the account afterwards: %+v, %v", a.JetStreamUsage().Limits, err)
	}
}

// A server without a bound counts what it keeps already beside what is left, so that it has the room each time that it starts.
func TestRoom(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept", "blocks")
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(kept, nil, 0o600), os.Truncate(kept, 3<<30)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ bound, free, want int64 }{
		{0, 1 << 30, 3 << 30},
		{0, 5 << 30, 6 << 30},
		{2 << 30, 5 << 30, 2 << 30},
	} {
		s, err := startOn(Options{Name: "n", Dir: dir, ClientPort: -1, MaxStore: c.bound}, func(string) int64 { return c.free })
		if err != nil {
			t.Fatal(err)
		}
		err = ready(t, s)
		in, readErr := s.Settings()
		s.Shutdown()
		if err != nil || readErr != nil || in.MaxStore != c.want {
			t.Errorf("bound %d, %d free and 3 GiB kept: %d, want %d; %v, %v", c.bound, c.free, in.MaxStore, c.want, err, readErr)
		}
	}
	if got := room(dir, func(string) int64 { return -1 }); got != 0 {
		t.Errorf("nobody knows what is free: %d, want 0", got)
	}
}
