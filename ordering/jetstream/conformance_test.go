package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/ordering/orderingtest"
)

var machines atomic.Int64

// newRef names a log that no other test has.
func newRef() jetstream.Ref {
	return jetstream.Ref{Machine: ordering.Name(fmt.Sprint("m", machines.Add(1))), Epoch: 1}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// servers keep logs: in this process, or outside of it.
type servers interface {
	Len() int
	Runs(i int) bool
	Restart(t testing.TB, i int)
	Connect(t testing.TB, i int) *nats.Conn
	ConnectAny(t testing.TB) *nats.Conn
}

func create(t testing.TB, c servers, cfg jetstream.Config) {
	t.Helper()
	if _, err := jetstream.Create(within(t, time.Minute), c.ConnectAny(t), cfg); err != nil {
		t.Fatal(err)
	}
	for i := range c.Len() {
		if c.Runs(i) {
			awaitLeader(t, c.Connect(t, i), cfg.InputSubject())
		}
	}
}

// awaitLeader waits until entries that nc publishes reach the log's leader, of which a server
// learns some time after the log was created. What it sends is refused.
func awaitLeader(t testing.TB, nc *nats.Conn, subject string) {
	t.Helper()
	ctx := within(t, time.Minute)
	probe := nats.NewMsg(subject)
	probe.Header.Set("Nats-Expected-Stream", "none")
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		_, err := nc.RequestMsgWithContext(ctx, probe)
		if err == nil {
			return
		}
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Fatal(err)
		}
		<-pause.C
	}
}

// open opens the log by a connection of its own to server i.
func open(t testing.TB, c servers, i int, ref jetstream.Ref) *jetstream.Log {
	t.Helper()
	o := jetstream.Options{} // fits servers outside, which keep NATS's timers
	if _, ok := c.(*jetstreamtest.Cluster); ok {
		o.ConfirmBreak = embedded.ConfirmBreak
	}
	if c.Len() == 1 {
		o.ConfirmBreak = 300 * time.Millisecond // there is no other leader
	}
	l, err := jetstream.Open(within(t, time.Minute), c.Connect(t, i), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestMain(m *testing.M) {
	jetstreamtest.Main()
	code := m.Run()
	jetstreamtest.RemoveOutside()
	os.Exit(code)
}

func TestConformance(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("embedded-R%d", n), func(t *testing.T) { conform(t, jetstreamtest.Start(t, n)) })
		t.Run(fmt.Sprintf("outside-R%d", n), func(t *testing.T) {
			conform(t, jetstreamtest.StartOutside(t, n, jetstreamtest.OutsideOptions{}))
		})
	}
}

func conform(t *testing.T, c servers) {
	orderingtest.Run(t, func(t *testing.T) orderingtest.Harness { return harness(t, c, c.Len()) })
}

func harness(t *testing.T, c servers, replicas int) orderingtest.Harness {
	cfg := jetstream.Config{Ref: newRef(), Replicas: replicas, MaxBytes: 64 << 20}
	create(t, c, cfg)
	next := 0
	openNext := func(t *testing.T, ref jetstream.Ref) ordering.Log {
		next++
		return open(t, c, next%c.Len(), ref)
	}
	return orderingtest.Harness{
		Epoch: 1,
		First: 1,
		Next:  nextEpoch(c, cfg, openNext),
		Open:  func(t *testing.T) ordering.Log { return openNext(t, cfg.Ref) },
		Recreate: func(t *testing.T) {
			if err := jetstream.Delete(within(t, time.Minute), c.ConnectAny(t), cfg.Ref); err != nil {
				t.Fatal(err)
			}
			create(t, c, cfg)
		},
		Restart: func(t *testing.T) {
			for i := range c.Len() {
				c.Restart(t, i)
			}
		},
		Full: func(t *testing.T) ordering.Log {
			full := jetstream.Config{Ref: newRef(), Replicas: replicas, MaxBytes: 1 << 20}
			create(t, c, full)
			return openNext(t, full.Ref)
		},
	}
}

// nextEpoch is the epoch after the next one, so that there can be entries of two before.
func nextEpoch(c servers, cfg jetstream.Config, open func(*testing.T, jetstream.Ref) ordering.Log) *orderingtest.Next {
	cfg.Epoch, cfg.FirstSeq = 3, 100
	next := 0
	return &orderingtest.Next{
		Epoch: cfg.Epoch,
		First: cfg.FirstSeq,
		Open:  func(t *testing.T) ordering.Log { return open(t, cfg.Ref) },
		Found: func(t *testing.T) ordering.Founding {
			next++
			nc := c.Connect(t, next%c.Len())
			f, err := jetstream.Found(within(t, time.Minute), nc, cfg)
			if err != nil {
				t.Fatal(err)
			}
			return founder{f, func() {
				for i := range c.Len() {
					awaitLeader(t, c.Connect(t, i), cfg.InputSubject())
				}
			}}
		},
	}
}

// founder waits until all servers know of the log that it opened.
type founder struct {
	ordering.Founding
	opened func()
}

func (f founder) Open(ctx context.Context) error {
	err := f.Founding.Open(ctx)
	if err == nil {
		f.opened()
	}
	return err
}
