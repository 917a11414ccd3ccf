package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// dangers are settings of a stream that somebody may have changed, and a word of what
// each can lose.
var dangers = []struct {
	name   string
	change func(*njs.StreamConfig)
	says   string
	fatal  bool
	create bool // JetStream takes it only when the stream is made
}{
	{"storage", func(c *njs.StreamConfig) { c.Storage = njs.MemoryStorage }, "restart together", true, true},
	{"retention", func(c *njs.StreamConfig) { c.Retention = njs.WorkQueuePolicy; c.AllowDirect = true }, "once a consumer has acknowledged", true, true},
	{"discard", func(c *njs.StreamConfig) { c.Discard = njs.DiscardOld }, "drops its oldest entries", true, false},
	{"max age", func(c *njs.StreamConfig) { c.MaxAge = time.Hour }, "vanish with time", true, false},
	{"max messages", func(c *njs.StreamConfig) { c.MaxMsgs = 1000 }, "number of entries", true, false},
	{"max messages per subject", func(c *njs.StreamConfig) { c.MaxMsgsPerSubject = 10 }, "drops an old one", true, false},
	{"rollup", func(c *njs.StreamConfig) { c.AllowRollup = true }, "one header", true, false},
	{"message TTL", func(c *njs.StreamConfig) { c.AllowMsgTTL = true }, "vanish after a time", true, false},
	{"deny delete", func(c *njs.StreamConfig) { c.DenyDelete = false }, "remove single entries", true, true},
	{"no ack", func(c *njs.StreamConfig) { c.NoAck = true }, "whether an entry was ordered", true, false},
	{"direct get", func(c *njs.StreamConfig) { c.AllowDirect = false }, "cannot fetch", true, false},
	{"subjects", func(c *njs.StreamConfig) { c.Subjects = append(c.Subjects, "other.>") }, "or other messages do", true, false},
	{"republish", func(c *njs.StreamConfig) { c.RePublish = nil }, "by asking", false, false},
	{"max bytes", func(c *njs.StreamConfig) { c.MaxBytes = -1 }, "fills the disk", false, false},
	{"duplicate window", func(c *njs.StreamConfig) { c.Duplicates = 2 * time.Minute }, "another's message id", false, false},
	{"replicas", func(c *njs.StreamConfig) { c.Replicas = 1 }, "loss of one disk", false, false},
}

// What Create makes has no finding but that of a single server.
func TestCreatedStreamIsSafe(t *testing.T) {
	c := jetstreamtest.Start(t, 3)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref, Replicas: 3})
	if got := jetstream.CheckStream(ref, streamConfig(t, c, ref)); len(got) > 0 {
		t.Errorf("findings: %v", got)
	}
}

func streamConfig(t *testing.T, c servers, ref jetstream.Ref) njs.StreamConfig {
	t.Helper()
	js, err := njs.New(c.ConnectAny(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(within(t, time.Minute), ref.StreamName())
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

// Open refuses each setting that loses entries in ordinary service, in words, as it is
// found at a real server outside.
func TestOpenRefusesUnsafeStreams(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 1, jetstreamtest.OutsideOptions{})
	nc := c.ConnectAny(t)
	js, err := njs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dangers {
		t.Run(d.name, func(t *testing.T) {
			ref := newRef()
			ctx := within(t, time.Minute)
			create(t, c, jetstream.Config{Ref: ref, Replicas: 1})
			config := streamConfig(t, c, ref)
			d.change(&config)
			if d.create {
				err = errors.Join(js.DeleteStream(ctx, config.Name), createRaw(ctx, js, config))
			} else {
				_, err = js.UpdateStream(ctx, config)
			}
			if err != nil {
				t.Fatal(err)
			}
			l, err := jetstream.Open(ctx, nc, ref, jetstream.Options{})
			if err == nil {
				_ = l.Close()
			}
			if unsafe := new(jetstream.UnsafeError); errors.As(err, &unsafe) != d.fatal {
				t.Fatalf("Open: %v, want an UnsafeError: %v", err, d.fatal)
			}
			if d.fatal && !strings.Contains(err.Error(), d.says) {
				t.Errorf("Open says %q, nothing of %q", err, d.says)
			}
			said := false
			for _, f := range jetstream.CheckStream(ref, streamConfig(t, c, ref)) {
				said = said || strings.Contains(f.String(), d.says) && f.Fatal == d.fatal
			}
			if !said {
				t.Errorf("no finding says %q", d.says)
			}
		})
	}
}

func createRaw(ctx context.Context, js njs.JetStream, config njs.StreamConfig) error {
	_, err := js.CreateStream(ctx, config)
	return err
}
