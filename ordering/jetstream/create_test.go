package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
	"lockstep/ordering/jetstream/jetstreamtest"
)

func TestConfigValidate(t *testing.T) {
	good := jetstream.Config{Ref: jetstream.Ref{Machine: "m", Epoch: 1}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*jetstream.Config){
		"no machine":   func(c *jetstream.Config) { c.Machine = "" },
		"wildcard":     func(c *jetstream.Config) { c.Machine = ">" },
		"no epoch":     func(c *jetstream.Config) { c.Epoch = 0 },
		"two replicas": func(c *jetstream.Config) { c.Replicas = 2 },
		"too many":     func(c *jetstream.Config) { c.Replicas = 7 },
		"negative":     func(c *jetstream.Config) { c.MaxBytes = -1 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: Validate accepts it", name)
		}
	}
}

func TestCreate(t *testing.T) {
	c := jetstreamtest.Start(t, 1)
	nc := c.ConnectAny(t)
	ctx := within(t, time.Minute)
	cfg := jetstream.Config{Ref: newRef(), MaxBytes: 10 << 20}

	if _, err := jetstream.Open(ctx, nc, cfg.Ref, jetstream.Options{}); !errors.Is(err, ordering.ErrNotFound) {
		t.Errorf("Open of a log that is not there: %v, want ErrNotFound", err)
	}
	if err := jetstream.Delete(ctx, nc, cfg.Ref); !errors.Is(err, ordering.ErrNotFound) {
		t.Errorf("Delete of a log that is not there: %v, want ErrNotFound", err)
	}
	// Several nodes create the same log at once.
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], err = jetstream.Create(ctx, nc, cfg); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("identities %q, want one", ids)
		}
	}
	l, err := jetstream.Open(ctx, nc, cfg.Ref, jetstream.Options{ID: ids[0]})
	if err != nil {
		t.Fatal(err)
	}
	if l.ID() != ids[0] {
		t.Errorf("ID is %q, want %q", l.ID(), ids[0])
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	_, err = jetstream.Open(ctx, nc, cfg.Ref, jetstream.Options{ID: "other"})
	if br := new(*ordering.BreakError); !errors.As(err, br) {
		t.Errorf("Open with another identity: %v, want a break", err)
	}

	other := cfg
	other.MaxBytes++
	if _, err := jetstream.Create(ctx, nc, other); err == nil || !strings.Contains(err.Error(), "max bytes") {
		t.Errorf("Create with another size: %v, want an error that says so", err)
	}
	other = cfg
	other.FirstSeq = 5
	if _, err := jetstream.Create(ctx, nc, other); err == nil || !strings.Contains(err.Error(), "first sequence") {
		t.Errorf("Create with another start: %v, want an error that says so", err)
	}

	if err := jetstream.Delete(ctx, nc, cfg.Ref); err != nil {
		t.Error(err)
	}
	if id, err := jetstream.Create(ctx, nc, cfg); err != nil || id == ids[0] {
		t.Errorf("Create after Delete: %q, %v, want a new identity", id, err)
	}
}

// TestCreateRaced has every node of a cluster create and delete the same log at once, again and
// again: a name that is taken and not served yet, and files that are still being removed,
// are no errors.
func TestCreateRaced(t *testing.T) {
	c := jetstreamtest.Start(t, 3)
	cfg := jetstream.Config{Ref: newRef(), Replicas: 3}
	var conns []*nats.Conn
	for i := range c.Len() {
		conns = append(conns, c.Connect(t, i))
	}
	ctx := within(t, 2*time.Minute)
	seen := map[string]bool{}
	for range 10 {
		ids := make([]string, len(conns))
		var wg sync.WaitGroup
		for i, nc := range conns {
			wg.Go(func() {
				var err error
				if ids[i], err = jetstream.Create(ctx, nc, cfg); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if ids[0] != ids[1] || ids[0] != ids[2] || seen[ids[0]] {
			t.Fatalf("identities %q, want one that is new", ids)
		}
		seen[ids[0]] = true
		if err := jetstream.Delete(ctx, conns[0], cfg.Ref); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCreateOverUnsafe finds streams under the log's name with settings that lose
// entries.
func TestCreateOverUnsafe(t *testing.T) {
	c := jetstreamtest.Start(t, 1)
	nc := c.ConnectAny(t)
	js, err := njs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	template := newRef()
	create(t, c, jetstream.Config{Ref: template})
	s, err := js.Stream(ctx, template.StreamName())
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*njs.StreamConfig){
		"discard":       func(s *njs.StreamConfig) { s.Discard = njs.DiscardOld },
		"max age":       func(s *njs.StreamConfig) { s.MaxAge = time.Hour },
		"deny delete":   func(s *njs.StreamConfig) { s.DenyDelete = false },
		"rollup":        func(s *njs.StreamConfig) { s.AllowRollup = true },
		"message TTL":   func(s *njs.StreamConfig) { s.AllowMsgTTL = true },
		"storage":       func(s *njs.StreamConfig) { s.Storage = njs.MemoryStorage },
		"republish":     func(s *njs.StreamConfig) { s.RePublish = nil },
		"direct get":    func(s *njs.StreamConfig) { s.AllowDirect = false },
		"max messages":  func(s *njs.StreamConfig) { s.MaxMsgs = 10 },
		"lockstep.form": func(s *njs.StreamConfig) { s.Metadata = nil },
	} {
		cfg := jetstream.Config{Ref: newRef()}
		unsafe := s.CachedInfo().Config
		unsafe.Name, unsafe.Subjects = cfg.StreamName(), []string{cfg.InputSubject(), cfg.ControlSubject()}
		unsafe.RePublish = &njs.RePublish{Source: strings.TrimSuffix(cfg.InputSubject(), "input") + "*", Destination: cfg.RepublishSubject()}
		unsafe.Metadata = maps.Clone(unsafe.Metadata)
		unsafe.Metadata["lockstep.machine"] = string(cfg.Machine)
		change(&unsafe)
		if _, err := js.CreateStream(ctx, unsafe); err != nil {
			t.Fatal(err)
		}
		if _, err := jetstream.Create(ctx, nc, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Create over a stream with another %s: %v", want, err)
		} else if strings.Count(err.Error(), ", want") != 1 && want != "lockstep.form" {
			t.Errorf("Create over a stream with another %s names more: %v", want, err)
		}
	}
}

// TestFirstSeq is a log that begins where another epoch ended.
func TestFirstSeq(t *testing.T) {
	c := jetstreamtest.Start(t, 1)
	cfg := jetstream.Config{Ref: newRef(), FirstSeq: 1000}
	cfg.Epoch = 3
	create(t, c, cfg)
	l := open(t, c, 0, cfg.Ref)
	ctx := within(t, time.Minute)
	if s, err := l.State(ctx); err != nil || s != (ordering.State{Epoch: 3, First: 1000, Last: 999, MaxBytes: jetstream.DefaultMaxBytes}) {
		t.Fatalf("State: %+v, %v", s, err)
	}
	if seq, err := l.Append(ctx, []byte("x")); err != nil || seq != 1000 {
		t.Fatalf("Append: %d, %v, want 1000", seq, err)
	}
	if got := readTo(t, l, 1000, 1000); got[0].Epoch != 3 || string(got[0].Data) != "x" {
		t.Errorf("got %+v", got[0])
	}
	if _, err := l.Read(ctx, 999); !errors.Is(err, ordering.ErrTruncated) {
		t.Errorf("Read before the first: %v, want ErrTruncated", err)
	}
}

// Servers whose room is reserved by other logs say so soon, and in words that help.
func TestCreateWithoutRoom(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", n), func(t *testing.T) {
			c := jetstreamtest.StartWith(t, n, embedded.Options{MaxStore: 3 << 20})
			most := 3
			if n > 1 {
				most = 20 // servers of a cluster hear late of what the others have reserved
			}
			for i := 0; ; i++ {
				_, err := jetstream.Create(within(t, time.Minute), c.ConnectAny(t), jetstream.Config{Ref: newRef(), Replicas: n, MaxBytes: 1 << 20})
				if err == nil && i < most {
					continue
				}
				if i < 3 || !errors.Is(err, jetstream.ErrNoRoom) || !strings.Contains(err.Error(), "reserves 1048576 bytes") {
					t.Errorf("log %d of 1 MiB in 3 MiB: %v", i+1, err)
				}
				return
			}
		})
	}
}

// Servers that elect are waited for, and asked anew soon once they have a leader, by who makes a log and by who founds the next epoch's.
func TestCreateDuringElection(t *testing.T) {
	c := jetstreamtest.Start(t, 3)
	nc := c.Connect(t, 0)
	ctx := within(t, time.Minute)
	js, err := njs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c.Stop(1)
	c.Stop(2)
	for none := false; !none; { // until the server has noticed that it leads nobody
		var e *njs.APIError
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err := js.AccountInfo(try)
		cancel()
		none = errors.As(err, &e) && e.ErrorCode == 10008
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	var others sync.WaitGroup
	others.Go(func() { c.Restart(t, 1) })
	defer others.Wait()
	next := newRef()
	next.Epoch = 2
	others.Go(func() {
		if _, err := jetstream.Found(ctx, nc, jetstream.Config{Ref: next, FirstSeq: 2, Replicas: 1, MaxBytes: 1 << 20}); err != nil {
			t.Error(err)
		}
	})
	if _, err := jetstream.Create(ctx, nc, jetstream.Config{Ref: newRef(), MaxBytes: 1 << 20}); err != nil {
		t.Error(err)
	}
}
