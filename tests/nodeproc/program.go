package nodeproc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/host/daemon"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// envSpec makes a test binary a node. Its value is a spec in JSON.
const envSpec = "LOCKSTEP_TEST_NODE"

// spec is how a node's process runs.
type spec struct {
	Name     string
	Dir      string
	Listen   string   // host:port for the other servers
	Client   int      // port for clients
	Routes   []string // empty: a server alone
	Machines []ordering.Name
	Found    int // copies of the log that this node makes; 0: it is there, or another makes it
	Verbose  bool
	Key      string        // public, of SystemKey
	Clock    time.Duration // how far it is off
}

// System is the login to the servers' system account.
var System = jetstream.Login{User: "system", Password: "system"}

// accounts lets in both who has System and who has the cluster's key.
const accounts = `accounts { $SYS { users: [ { user: system, password: system }, { nkey: %s } ] } }`

// Main is to be called first in TestMain. In a node's process it runs the node and does not return.
func Main() {
	text := os.Getenv(envSpec)
	if text == "" {
		return
	}
	var s spec
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = s.run()
	}
	if err != nil {
		fmt.Println("failed:", err) // where the parent reads
		os.Exit(1)
	}
	os.Exit(0)
}

// run is the whole of a node's process. It ends when its standard input does, as that does when the parent is gone.
func (s spec) run() error {
	if err := setClock(s.Clock); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	logger := slog.New(slog.DiscardHandler)
	if s.Verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("process", s.Name)
	}
	o := embedded.Options{
		Name: s.Name, Dir: filepath.Join(s.Dir, "log"), ClientPort: s.Client, MaxStore: 64 << 30, Config: fmt.Sprintf(accounts, s.Key), Logger: logger,
	}
	if len(s.Routes) > 0 {
		o.Cluster, o.ClusterListen, o.Advertise, o.Routes = "test", s.Listen, "-", s.Routes
	}
	server, err := embedded.Start(o)
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if err := server.WaitReady(ctx); err != nil {
		return err
	}
	conn, err := nats.Connect("", append(jetstream.ConnOptions(s.Name, logger), server.InProcess())...)
	if err != nil {
		return err
	}
	defer conn.Close()
	n, err := node.Open(ctx, node.Options{
		Name: audit.ReplicaID(s.Name), Dir: filepath.Join(s.Dir, "node"), Conn: conn, ConfirmBreak: embedded.ConfirmBreak, Logger: logger, OnEvent: note,
	})
	if err != nil {
		return err
	}
	if err := s.host(ctx, conn, n); err != nil {
		return err
	}
	desk := daemon.Desk{Node: n, Conn: conn, Self: admin.Node{Server: s.Name}, Room: func() error { return nil }, Logger: logger}
	if err := desk.Serve(); err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(answer(ctx, n, in.Text()))
	}
	return n.Close()
}

// host makes the machines' logs, if this node is the one to, and hosts the machines.
func (s spec) host(ctx context.Context, conn *nats.Conn, n *node.Node) error {
	for _, machine := range s.Machines {
		if s.Found > 0 {
			ref := jetstream.Ref{Machine: machine, Epoch: 1}
			if _, err := jetstream.Create(ctx, conn, jetstream.Config{Ref: ref, Replicas: s.Found, MaxBytes: 256 << 20}); err != nil {
				return err
			}
		}
		for {
			_, err := n.Host(ctx, machine)
			if err == nil {
				break
			}
			if !errors.Is(err, ordering.ErrNotFound) {
				return err
			}
			<-time.After(20 * time.Millisecond) // another one is making it
		}
	}
	return nil
}

// moved is what transfers brought to this node since it was started.
var moved struct{ bytes, size atomic.Uint64 }

func note(e node.Event) {
	if e.Kind == node.EventTransferred {
		moved.bytes.Add(e.Bytes)
		moved.size.Store(e.Size)
	}
}

// answer carries out a command of the test.
//
//	flip MACHINE MARK OFFSET BIT   flips a bit of the guest's working memory, in the byte that is so far from a text in it
//	clock DURATION                 sets how far the process's clock is off
//	moved                          bytes that transfers brought, and the size of the last state that one did
func answer(ctx context.Context, n *node.Node, line string) string {
	f := strings.Fields(line)
	if line == "moved" {
		return fmt.Sprint(moved.bytes.Load(), " ", moved.size.Load())
	}
	if len(f) == 2 && f[0] == "clock" {
		return turnClock(f[1])
	}
	if len(f) != 5 || f[0] != "flip" {
		return "error: unknown command"
	}
	offset, err1 := strconv.Atoi(f[3])
	bit, err2 := strconv.Atoi(f[4])
	r := n.Replica(ordering.Name(f[1]))
	if err1 != nil || err2 != nil || r == nil {
		return "error: no such bit"
	}
	result := "error: no such byte"
	err := r.Do(ctx, func(m *host.Machine) {
		live := m.Live()
		if at := bytes.Index(live, []byte(f[2])); at >= 0 && at+offset < len(live) {
			live[at+offset] ^= 1 << bit
			result = "ok"
		}
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return result
}

// turnClock sets the clock as a command says.
func turnClock(off string) string {
	d, err := time.ParseDuration(off)
	if err == nil {
		err = setClock(d)
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return "ok"
}
