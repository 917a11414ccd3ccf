package jetstreamtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// serverEnv makes a test binary a server. Its value is embedded.Options in JSON.
const serverEnv = "LOCKSTEP_TEST_SERVER"

// Main is to be called from TestMain by tests that use Processes: in their processes it
// is a server and does not return.
func Main() {
	config := os.Getenv(serverEnv)
	if config == "" {
		return
	}
	err := serve(config)
	fmt.Println(err) // where the parent reads
	os.Exit(1)
}

// serve runs a server until its standard input ends, as it does when the parent
// is gone.
func serve(config string) error {
	var o embedded.Options
	if err := json.Unmarshal([]byte(config), &o); err != nil {
		return fmt.Errorf("decode options: %w", err)
	}
	s, err := embedded.Start(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return err
}

// Processes is a cluster whose servers are processes of their own, so that they can be
// killed and stopped as a whole.
type Processes struct {
	names, dirs, urls []string
	login             jetstream.Login
	command           func(i int) *exec.Cmd
	ready             func(ctx context.Context, i int) error // whether server i is; it may wait
	procs             []*process                             // nil while it does not run
}

type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// StartProcesses starts n embedded servers, each in a process, and waits until they are ready. They end with the
// test, which calls Main from its TestMain.
func StartProcesses(t testing.TB, n int) *Processes {
	t.Helper()
	all, urls := options(t, n, embedded.Options{})
	p := &Processes{urls: urls, procs: make([]*process, n)}
	for _, o := range all {
		p.names, p.dirs = append(p.names, o.Name), append(p.dirs, o.Dir)
	}
	p.command = func(i int) *exec.Cmd {
		config, err := json.Marshal(all[i])
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), serverEnv+"="+string(config))
		return cmd
	}
	p.ready = func(_ context.Context, i int) error {
		if line, err := p.procs[i].out.ReadString('\n'); err != nil || line != "ready\n" {
			return fmt.Errorf("it says %q, %w", line, err)
		}
		return nil
	}
	p.start(t)
	return p
}

// start starts all servers and has them end with the test.
func (p *Processes) start(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		for i := range p.procs {
			p.Kill(i)
		}
	})
	for i := range p.procs {
		p.launch(t, i)
	}
	for i := range p.procs {
		p.await(t, i)
	}
}

// Len is the number of servers, those that do not run included.
func (p *Processes) Len() int { return len(p.procs) }

// Runs tells whether server i does.
func (p *Processes) Runs(i int) bool { return p.procs[i] != nil }

// Start starts a server that was killed and waits until it is ready.
func (p *Processes) Start(t testing.TB, i int) {
	t.Helper()
	p.launch(t, i)
	p.await(t, i)
}

// Restart stops server i in order, starts it again and waits until it is ready.
func (p *Processes) Restart(t testing.TB, i int) {
	t.Helper()
	if proc := p.procs[i]; proc != nil {
		p.procs[i] = nil
		_ = proc.stdin.Close() // of which embedded servers take note, and others of the signal
		_ = proc.cmd.Process.Signal(syscall.SIGTERM)
		_ = proc.cmd.Wait()
	}
	p.Start(t, i)
}

func (p *Processes) launch(t testing.TB, i int) {
	t.Helper()
	cmd := p.command(i)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.procs[i] = &process{cmd: cmd, stdin: stdin, out: bufio.NewReader(stdout)}
}

func (p *Processes) await(t testing.TB, i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := p.ready(ctx, i); err != nil {
		t.Fatalf("server %d is not ready: %v", i, err)
	}
}

// Kill kills server i, if it runs, as kill -9 does.
func (p *Processes) Kill(i int) {
	if proc := p.procs[i]; proc != nil {
		p.procs[i] = nil
		_ = proc.cmd.Process.Kill()
		_ = proc.cmd.Wait()
		_ = proc.stdin.Close()
	}
}

// Pause stops server i in its tracks.
func (p *Processes) Pause(t testing.TB, i int) { t.Helper(); p.signal(t, i, syscall.SIGSTOP) }

// Resume lets server i go on.
func (p *Processes) Resume(t testing.TB, i int) { t.Helper(); p.signal(t, i, syscall.SIGCONT) }

func (p *Processes) signal(t testing.TB, i int, sig syscall.Signal) {
	t.Helper()
	if err := p.procs[i].cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// Dir is server i's directory.
func (p *Processes) Dir(i int) string { return p.dirs[i] }

// URLs are where clients connect to, with Login.
func (p *Processes) URLs() []string { return p.urls }

// Login is that of a node.
func (p *Processes) Login() jetstream.Login { return p.login }

// Connect connects to server i alone, until the test ends.
func (p *Processes) Connect(t testing.TB, i int) *nats.Conn {
	t.Helper()
	return p.dial(t, p.urls[i:i+1], nats.IgnoreDiscoveredServers())
}

// ConnectAny connects to any server and moves on when that one stops.
func (p *Processes) ConnectAny(t testing.TB) *nats.Conn {
	t.Helper()
	return p.dial(t, p.urls)
}

func (p *Processes) dial(t testing.TB, urls []string, more ...nats.Option) *nats.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	nc, err := jetstream.Dial(ctx, t.Name(), urls, p.login, nil, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Leader waits until nc's servers name a leader of the log, and returns its number.
func (p *Processes) Leader(t testing.TB, nc *nats.Conn, ref jetstream.Ref) int {
	t.Helper()
	js, err := njs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); <-tick.C {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := js.Stream(ctx, ref.StreamName())
		cancel()
		if err != nil || s.CachedInfo().Cluster == nil {
			continue
		}
		for i, name := range p.names {
			if name == s.CachedInfo().Cluster.Leader && p.procs[i] != nil {
				return i
			}
		}
	}
	t.Fatalf("log %s has no leader", ref)
	return -1
}
