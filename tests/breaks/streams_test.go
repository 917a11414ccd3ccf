package breaks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/node"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
	"lockstep/tests/nodeproc"
)

// twins are three nodes over one log that comes to be two: node 2 is given that of a server that was made from a
// copy of the first one's files. Both are real and take inputs; between the two servers all else passes, so that replicas hear each other.
type twins struct {
	t      *testing.T
	dirs   []string // of servers
	ports  []int    // of the first server: for clients, and for the second one
	server [2]*embedded.Server
	nodes  [3]*node.Node
	conns  [3]*nats.Conn
	logger *slog.Logger
}

func startTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{
		t: t, dirs: []string{t.TempDir(), t.TempDir()}, ports: nodeproc.FreePorts(t, 2),
		logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	t.Cleanup(func() {
		for i := range w.nodes {
			w.stopNode(i)
		}
		for i := range w.server {
			w.stopServer(i)
		}
	})
	w.startServer(0)
	return w
}

// startServer starts one of the two. What is of the log does not pass between them.
func (w *twins) startServer(i int) {
	w.t.Helper()
	port, config := w.ports[0], fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }", w.ports[1])
	if i == 1 {
		own := `["$JS.>", "$KV.>", "$O.>", "lockstep.*.in.>", "lockstep.*.log.>", "lockstep.*.seed.>"]`
		port, config = -1, fmt.Sprintf("leafnodes { remotes: [ { urls: [\"nats-leaf://127.0.0.1:%d\"], deny_imports: %s, deny_exports: %s } ] }", w.ports[1], own, own)
	}
	s, err := embedded.Start(embedded.Options{Name: fmt.Sprint("twin", i), Dir: w.dirs[i], ClientPort: port, MaxStore: 1 << 30, Config: config, Logger: w.logger})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server[i] = s
	if err := s.WaitReady(within(w.t, patience)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twins) stopServer(i int) {
	if w.server[i] != nil {
		w.server[i].Shutdown()
		w.server[i] = nil
	}
}

// startNode starts a node over the log of one server.
func (w *twins) startNode(i, server int, dir string) {
	w.t.Helper()
	w.conns[i] = w.dial(server)
	var err error
	w.nodes[i], err = node.Open(within(w.t, patience), node.Options{
		Name: audit.ReplicaID(fmt.Sprint("n", i)), Dir: dir, Conn: w.conns[i], Engine: shared, Logger: w.logger, ConfirmBreak: embedded.ConfirmBreak,
	})
	if err == nil {
		_, err = w.nodes[i].Host(within(w.t, patience), machine)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *twins) stopNode(i int) {
	if w.nodes[i] == nil {
		return
	}
	if err := w.nodes[i].Close(); err != nil {
		w.t.Error(err)
	}
	w.conns[i].Close()
	w.nodes[i] = nil
}

func (w *twins) dial(server int) *nats.Conn {
	w.t.Helper()
	conn, err := nats.Connect(w.server[server].ClientURL(), jetstream.ConnOptions(w.t.Name(), nil)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func (w *twins) client(server int) *client.Client {
	w.t.Helper()
	conn := w.dial(server)
	cl, err := client.Connect(within(w.t, patience), client.Options{Machine: string(machine), Conn: conn})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cl.Close(); conn.Close() })
	return cl
}

func (w *twins) info(i int) host.Info { return w.nodes[i].Replica(machine).Info() }

// A server that was made from a copy of another one's files gives one replica of three a log of its own. The two
// others answer, and it answers nobody; who asks through its server gets FAIL; with the right server it is as the others again.
func TestTwoStreams(t *testing.T) {
	t.Parallel()
	w := startTwins(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	conn := w.dial(0)
	defer conn.Close()
	ref := jetstream.Ref{Machine: machine, Epoch: 1}
	if _, err := jetstream.Create(within(t, patience), conn, jetstream.Config{Ref: ref, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range w.nodes {
		w.startNode(i, 0, dirs[i])
	}
	cl := w.client(0)
	if _, err := cl.Deploy(within(t, patience), kv.V2, host.Config{AuditEvery: 16, CheckpointEvery: 256}, []audit.ReplicaID{"n0", "n1", "n2"}); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, cl)
	l.more(200)
	for i := range w.nodes {
		w.stopNode(i)
	}
	w.stopServer(0)
	if err := os.CopyFS(w.dirs[1], os.DirFS(w.dirs[0])); err != nil {
		t.Fatal(err)
	}
	w.startServer(0)
	w.startServer(1)
	for i := range w.nodes {
		w.startNode(i, max(i-1, 0), dirs[i])
	}
	l.more(50)
	astray := w.client(1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out, err := astray.Call(ctx, kv.Add("astray", 1))
	if fail := (*client.FailError)(nil); !errors.As(err, &fail) {
		t.Errorf("what one replica of three has read was accepted: %v, %v", out, err)
	}
	await(t, "the replica that was given another log to stop", func() bool { return w.info(2).Phase == host.PhaseBroken })
	if told := w.info(2).Broken; !strings.Contains(told, "n0 was given another log") || !strings.Contains(told, "n1 was given another log") {
		t.Errorf("the replica says %q of what is wrong", told)
	}
	l.more(200)
	for i := range 2 {
		if in := w.info(i); in.Phase != host.PhaseVoting || in.Log != 1 {
			t.Errorf("replica %d is %v in epoch %d: %s", i, in.Phase, in.Log, in.Broken)
		}
	}

	w.stopNode(2)
	w.startNode(2, 0, dirs[2])
	l.more(50)
	l.end()
	out, err = cl.Call(within(t, patience), kv.Add("astray", 0))
	if n, bad := kv.DecodeNumber(out.Bytes); err != nil || bad != nil || n != 0 {
		t.Errorf("what nobody accepted was applied: %d, %v, %v", n, err, bad)
	}
	nodeproc.OneState(t, cl, 3)
	for i := range w.nodes {
		// What the one stated at an audit, after another log, may be kept as evidence against it; nothing is against the others.
		faults := w.nodes[i].Replica(machine).Faults()
		delete(faults, "n2")
		if in := w.info(i); in.Phase != host.PhaseVoting || len(faults) > 0 {
			t.Errorf("replica %d is %v and has evidence: %v", i, in.Phase, faults)
		}
	}
}
