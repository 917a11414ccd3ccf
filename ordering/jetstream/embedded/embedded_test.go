package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Name == "" {
		o.Name = "n"
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.ClientPort == 0 {
		o.ClientPort = -1
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func ready(t *testing.T, s *Server) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.WaitReady(ctx)
}

func TestStart(t *testing.T) {
	s := start(t, Options{})
	if err := ready(t, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(); err != nil {
		t.Error(err)
	}
	for name, opts := range map[string][]nats.Option{s.ClientURL(): nil, "": {s.InProcess()}} {
		nc, err := nats.Connect(name, opts...)
		if err != nil {
			t.Fatalf("connect to %q: %v", name, err)
		}
		if got := nc.MaxPayload(); got != 1<<20 {
			t.Errorf("max payload is %d, want 1 MiB", got)
		}
		nc.Close()
	}
	select {
	case <-s.Failed():
		t.Error("the server says that it failed")
	default:
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no name":       {Dir: "d"},
		"no directory":  {Name: "n"},
		"no routes":     {Name: "n", Dir: "d", Cluster: "c", ClusterListen: "127.0.0.1:-1"},
		"no listen":     {Name: "n", Dir: "d", Cluster: "c", Routes: []string{"a:1"}},
		"bad route":     {Name: "n", Dir: "d", Cluster: "c", ClusterListen: "127.0.0.1:-1", Routes: []string{"a"}},
		"configuration": {Name: "n", Dir: "d", Config: "accounts {"},
	} {
		if s, err := Start(o); err == nil {
			s.Shutdown()
			t.Errorf("%s: Start accepts it", name)
		}
	}
}

// TestStrict: whatever the configuration says, no acknowledgement is taken for a request to purge a log.
func TestStrict(t *testing.T) {
	s := start(t, Options{Config: "jetstream { strict: false }"})
	if err := ready(t, s); err != nil {
		t.Fatal(err)
	}
	if is, err := s.Settings(); err != nil || !is.Strict {
		t.Errorf("strict is %v, %v", is.Strict, err)
	}
}

// TestSync is the promise that an acknowledged entry is on the disk.
func TestSync(t *testing.T) {
	for interval, always := range map[time.Duration]bool{0: true, time.Minute: false} {
		o := Options{Name: "n", Dir: "d", SyncInterval: interval, Config: "jetstream { sync_interval: \"3m\" }"}
		opts, err := o.server()
		if err != nil {
			t.Fatal(err)
		}
		if opts.SyncAlways != always || opts.SyncInterval != interval {
			t.Errorf("interval %v: sync always %v, interval %v", interval, opts.SyncAlways, opts.SyncInterval)
		}
	}
}

// TestFatalIsAnError has the server meet what ends nats-server's own process.
func TestFatalIsAnError(t *testing.T) {
	t.Run("PortTaken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		s := start(t, Options{ClientPort: l.Addr().(*net.TCPAddr).Port})
		if err := ready(t, s); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("WaitReady: %v", err)
		}
		<-s.Failed()
		if s.Health() == nil {
			t.Error("Health says nothing")
		}
	})
	t.Run("DirIsAFile", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Dir: dir})
		if err := ready(t, s); err == nil || !strings.Contains(err.Error(), "JetStream") {
			t.Errorf("WaitReady: %v", err)
		}
	})
}

func TestWaitReadyEnds(t *testing.T) {
	// Alone of three, it has no leader.
	s := start(t, Options{Cluster: "c", ClusterListen: "127.0.0.1:-1", Routes: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitReady: %v, want the deadline", err)
	}
}

// TestSignalsAreOurs sends a signal that nats-server, alone, reopens its log on, and one
// that ends it.
func TestSignalsAreOurs(t *testing.T) {
	s := start(t, Options{})
	if err := ready(t, s); err != nil {
		t.Fatal(err)
	}
	got := make(chan os.Signal, 2)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGUSR2)
	defer signal.Stop(got)
	for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGTERM} {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		<-got
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatalf("the server took the signal: %v", err)
	}
	nc.Close()
}

// TestTimers checks that the timers are nats-server's and what they must be to each
// other. That they work is measured in package jetstream, where a leader is killed.
func TestTimers(t *testing.T) {
	if err := setTimers(); err != nil {
		t.Fatal(err)
	}
	for _, r := range raftTimers {
		if *r.at != r.value {
			t.Errorf("%s is %v, want %v", r.name, *r.at, r.value)
		}
		if r.value >= r.stock {
			t.Errorf("%s is not shorter than nats-server's", r.name)
		}
	}
	if 3*heartbeat >= electionMin {
		t.Error("a follower must miss several heartbeats before it stands for election")
	}
	if lostQuorum < electionMax || ConfirmBreak < 2*lostQuorum {
		t.Error("a leader that was cut off gives up after others have elected one, and before a break is believed")
	}
}

// TestTimersOfAnotherVersion has a timer that is not nats-server's.
func TestTimersOfAnotherVersion(t *testing.T) {
	var unknown time.Duration
	var own = 4 * time.Second
	err := set([]raftTimer{{"own", &own, 4 * time.Second, time.Second}, {"unknown", &unknown, 4 * time.Second, time.Second}})
	if err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("set: %v, want an error that names the timer", err)
	}
	if own != 4*time.Second {
		t.Error("another timer was set all the same")
	}
}

// TestVersion: the timers and the headers that package jetstream trusts were read in this
// version's source. After an upgrade, read them again, then change this.
func TestVersion(t *testing.T) {
	if server.VERSION != "2.15.2" {
		t.Errorf("nats-server is %s: check timers.go and jetstream/wire.go against it", server.VERSION)
	}
}

func TestLogger(t *testing.T) {
	var out strings.Builder
	l := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	l.Noticef("notice")
	l.Warnf("warn %d", 1)
	l.Errorf("127.0.0.1:1 - cid:7 - Publish Violation - Subject %q", "a.b") // a client's fault, not this server's
	if got := out.String(); strings.Contains(got, "ERROR") || !strings.Contains(got, "a.b") {
		t.Errorf("logged %q", got)
	}
	l.Fatalf("fatal %d", 2)
	l.Fatalf("fatal %d", 3)
	<-l.fatal
	if l.err == nil || l.err.Error() != "fatal 2" {
		t.Errorf("error is %v, want the first", l.err)
	}
	if got := out.String(); strings.Contains(got, "notice") || !strings.Contains(got, "warn 1") || !strings.Contains(got, "fatal 2") {
		t.Errorf("logged %q", got)
	}
}
