package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	log "lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/doctor"
	"lockstep/ordering/jetstream/jetstreamtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	jetstreamtest.RemoveOutside()
	os.Exit(code)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func system(t *testing.T, c *jetstreamtest.Outside) *nats.Conn {
	t.Helper()
	nc, err := log.Dial(within(t, time.Minute), t.Name(), c.URLs(), c.System, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// diagnose makes a log on servers, changes its stream, and returns what is found.
func diagnose(t *testing.T, c *jetstreamtest.Outside, replicas int, change func(*njs.StreamConfig)) string {
	t.Helper()
	ctx := within(t, time.Minute)
	nc := c.ConnectAny(t)
	ref := log.Ref{Machine: "m", Epoch: 1}
	if _, err := doctor.Read(ctx, nc, nil, ref); !errors.Is(err, ordering.ErrNotFound) {
		t.Errorf("before the log is made: %v", err)
	}
	if _, err := log.Create(ctx, nc, log.Config{Ref: ref, Replicas: replicas, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		js, err := njs.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(ctx, ref.StreamName())
		if err != nil {
			t.Fatal(err)
		}
		config := s.CachedInfo().Config
		change(&config)
		if _, err := js.UpdateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	var settings doctor.Settings
	for sys := system(t, c); len(settings.Servers) != c.Len(); { // on a busy machine one may be late
		var err error
		if settings, err = doctor.Read(ctx, nc, sys, ref); err != nil {
			t.Fatalf("%d of %d servers answered: %v", len(settings.Servers), c.Len(), err)
		}
	}
	var lines []string
	for _, f := range doctor.Diagnose(settings) {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

// Real servers, configured well but for standing on one machine.
func TestWellConfigured(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 3, jetstreamtest.OutsideOptions{})
	got := diagnose(t, c, 3, nil)
	if want := "copies on 127.0.0.1 is n0, n1, n2"; !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
		t.Errorf("found\n%s\nwant only %s", got, want)
	}
}

// Real servers with what operators get wrong: each finding must be there, and no other.
func TestMisconfigured(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 1, jetstreamtest.OutsideOptions{
		SyncInterval: `"2m"`, JetStream: "strict: false", Extra: "max_payload: 128KB", Account: "{ max_file: 68M, max_streams: 1 }",
	})
	got := diagnose(t, c, 1, func(s *njs.StreamConfig) {
		s.Discard, s.MaxAge, s.Duplicates = njs.DiscardOld, time.Hour, 5*time.Minute
	})
	want := []string{
		"discard policy is DiscardOld", "max age is 1h0m0s", "duplicate window is 5m0s", "replicas is 1, want 3 or 5",
		"account's max streams is 1 of 1", "account's storage is", "sync interval of n0 is 2m0s", "strict of n0 is off", "max payload of n0 is 131072",
	}
	if lines := strings.Split(got, "\n"); len(lines) != len(want) {
		t.Errorf("%d findings, want %d:\n%s", len(lines), len(want), got)
	}
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("nothing of %q in\n%s", w, got)
		}
	}
}

// A server that has gone is missed in the words of those that remain.
func TestServerGone(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 3, jetstreamtest.OutsideOptions{})
	diagnose(t, c, 3, nil)
	c.Kill(2)
	nc, sys := c.Connect(t, 0), system(t, c)
	ctx := within(t, time.Minute)
	told := "nothing"
	for {
		settings, err := doctor.Read(ctx, nc, sys, log.Ref{Machine: "m", Epoch: 1})
		if ctx.Err() != nil {
			t.Fatalf("nobody misses n2: %v; told of it was %s", err, told)
		}
		if err != nil {
			told = err.Error()
			continue // the log has no leader yet
		}
		if settings.Cluster != nil {
			told = "leader " + settings.Cluster.Leader
			for _, p := range settings.Cluster.Replicas {
				told += fmt.Sprintf("; %+v", *p)
			}
		}
		for _, f := range doctor.Diagnose(settings) {
			if strings.Contains(f.String(), "copy on n2 is not heard of") {
				return
			}
		}
	}
}

// Without a login to the system account, the doctor says what it cannot say.
func TestWithoutSystemAccount(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 1, jetstreamtest.OutsideOptions{})
	diagnose(t, c, 1, nil)
	settings, err := doctor.Read(within(t, time.Minute), c.ConnectAny(t), nil, log.Ref{Machine: "m", Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	found := doctor.Diagnose(settings)
	if last := found[len(found)-1]; !strings.Contains(last.String(), "servers' settings is not known") {
		t.Errorf("found %v", found)
	}
}
