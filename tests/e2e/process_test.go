package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// envNode makes this test binary run one node, with envSpec saying how.
const (
	envNode = "LOCKSTEP_E2E_NODE"
	envSpec = "LOCKSTEP_E2E_SPEC"
)

// spec is how a node's process runs.
type spec struct {
	Dir, Listen string
	Client      int
	Routes      []string
	Found       bool // this node makes the log
}

// runNode is the whole of a node's process.
func runNode(name string) error {
	var s spec
	if err := json.Unmarshal([]byte(os.Getenv(envSpec)), &s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, err := embedded.Start(embedded.Options{
		Name: name, Dir: filepath.Join(s.Dir, "log"), ClientPort: s.Client,
		Cluster: "e2e", ClusterListen: s.Listen, Routes: s.Routes, MaxStore: 4 << 30,
	})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if err := server.WaitReady(ctx); err != nil {
		return err
	}
	conn, err := nats.Connect("", append(jetstream.ConnOptions(name, nil), server.InProcess())...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if s.Found {
		config := jetstream.Config{Ref: jetstream.Ref{Machine: "kv", Epoch: 1}, Replicas: 3}
		if _, err := jetstream.Create(ctx, conn, config); err != nil {
			return err
		}
	}
	n, err := node.Open(ctx, node.Options{Name: audit.ReplicaID(name), Dir: filepath.Join(s.Dir, "node"), Conn: conn, ConfirmBreak: embedded.ConfirmBreak})
	if err != nil {
		return err
	}
	for {
		_, err := n.Host(ctx, "kv")
		if err == nil {
			break
		}
		if !errors.Is(err, ordering.ErrNotFound) {
			return err
		}
		<-time.After(20 * time.Millisecond) // the first one is making it
	}
	if _, err := fmt.Fprintln(os.Stdout, "ready"); err != nil {
		return err
	}
	<-ctx.Done()
	return n.Close()
}

// processes are three nodes, each a process of its own.
type processes struct {
	t     *testing.T
	specs []spec
	cmds  []*exec.Cmd
}

func startProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{t: t, specs: make([]spec, 3), cmds: make([]*exec.Cmd, 3)}
	ports := freePorts(t, 6)
	var routes []string
	for _, port := range ports[:3] {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", port))
	}
	for i := range p.specs {
		p.specs[i] = spec{Dir: filepath.Join(t.TempDir(), name(i)), Listen: routes[i], Client: ports[3+i], Routes: routes, Found: i == 0}
	}
	t.Cleanup(func() {
		for i := range p.cmds {
			p.kill(i)
		}
	})
	ready := make([]<-chan error, 3)
	for i := range p.specs {
		ready[i] = p.start(i)
	}
	for i, r := range ready {
		if err := <-r; err != nil {
			t.Fatalf("%s: %v", name(i), err)
		}
	}
	return p
}

func name(i int) string { return fmt.Sprintf("p%d", i+1) }

func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// start starts a node's process; the channel tells when it is ready.
func (p *processes) start(i int) <-chan error {
	p.t.Helper()
	text, err := json.Marshal(p.specs[i])
	if err != nil {
		p.t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), envNode+"="+name(i), envSpec+"="+string(text))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmds[i] = c
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && strings.TrimSpace(line) != "ready" {
			err = fmt.Errorf("process says %q", line)
		}
		ready <- err
	}()
	return ready
}

// kill ends a process as nothing can resist, and reaps it.
func (p *processes) kill(i int) {
	if c := p.cmds[i]; c != nil {
		_ = c.Process.Signal(syscall.SIGKILL)
		_ = c.Wait()
		p.cmds[i] = nil
	}
}

func (p *processes) urls() (urls []string) {
	for _, s := range p.specs {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", s.Client))
	}
	return urls
}

// Real processes under kill -9, one after the other and then all at once: no
// accepted call is lost, none is applied twice, and all end in one state.
func TestProcessesUnderKill9(t *testing.T) {
	p := startProcesses(t)
	cl, err := client.Connect(within(t, patience), client.Options{Machine: "kv", URLs: p.urls()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cl.Close() }()
	if _, err := cl.Deploy(within(t, 2*patience), kv.V2, host.Config{AuditEvery: 8, CheckpointEvery: 40}, []audit.ReplicaID{"p1", "p2", "p3"}); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	add := func(times int) {
		t.Helper()
		for range times {
			sum++
			out, err := cl.Call(within(t, patience), kv.Add("n", 1))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != sum {
				t.Fatalf("n is %d, %v, after %d additions", got, err, sum)
			}
		}
	}
	add(50)
	for i := range 3 {
		p.kill(i)
		add(30)
		p.specs[i].Found = false
		if err := <-p.start(i); err != nil {
			t.Fatal(err)
		}
		awaitVoting(t, cl, 3)
	}
	var unfinished []string
	for i := range 3 {
		p.kill(i)
		unfinished = append(unfinished, filepath.Join(p.specs[i].Dir, "node", "machines", "kv", ".new-1"))
		if err := os.WriteFile(unfinished[i], []byte("of a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ready := make([]<-chan error, 3)
	for i := range 3 {
		ready[i] = p.start(i)
	}
	for _, r := range ready {
		if err := <-r; err != nil {
			t.Fatal(err)
		}
	}
	add(30)
	awaitVoting(t, cl, 3)
	wantOneState(t, cl)
	for _, path := range unfinished {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what a crash left is there still: %v", err)
		}
	}
}

// awaitVoting waits until that many replicas vote.
func awaitVoting(t *testing.T, cl *client.Client, n int) {
	t.Helper()
	await(t, "the replicas to vote", func() bool {
		infos, err := cl.Infos(within(t, patience))
		voting := 0
		for _, in := range infos {
			if in.Phase == host.PhaseVoting {
				voting++
			}
		}
		return err == nil && voting == n
	})
}

// wantOneState orders a checkpoint and wants all replicas to have stored the
// same root at its seq.
func wantOneState(t *testing.T, cl *client.Client) {
	t.Helper()
	out, err := cl.Checkpoint(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	roots := make(map[audit.Digest]int)
	await(t, "the checkpoint on all disks", func() bool {
		infos, err := cl.Infos(within(t, patience))
		if err != nil {
			return false
		}
		clear(roots)
		n := 0
		for _, in := range infos {
			for _, s := range in.Stored {
				if s.Seq == out.Seq {
					roots[s.Root]++
					n++
				}
			}
		}
		return n == 3
	})
	if len(roots) != 1 {
		t.Errorf("replicas stored different states at seq %d: %v", out.Seq, roots)
	}
}
