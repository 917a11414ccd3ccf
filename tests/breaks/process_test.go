package breaks

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/tests/nodeproc"
)

// processes are three nodes, each a process with its server and its disk.
type processes struct {
	*nodeproc.Cluster
	t    *testing.T
	conn *nats.Conn
	cl   *client.Client
	// operator is the key of the machine's operator, nil if it has none.
	operator ed25519.PrivateKey
}

// startProcesses has a machine in mode majority.
func startProcesses(t *testing.T) *processes { return startWith(t, audit.Majority, nil) }

// startSigned has one in mode signed, with an operator's key.
func startSigned(t *testing.T) *processes {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, audit.Signed, key)
}

func startWith(t *testing.T, mode audit.Mode, operator ed25519.PrivateKey) *processes {
	t.Helper()
	p := &processes{t: t, operator: operator, Cluster: nodeproc.Start(t, nodeproc.Options{Machines: []ordering.Name{machine}, Verbose: os.Getenv("LSVERB") != ""})}
	ctx := within(t, patience)
	p.conn = p.Connect(t, jetstream.Login{})
	var err error
	if p.cl, err = client.Connect(ctx, client.Options{Machine: string(machine), URLs: p.URLs()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cl.Close() })
	var voters []audit.ReplicaID
	for i := range p.Len() {
		voters = append(voters, nodeproc.Replica(i))
	}
	config := host.Config{AuditEvery: 16, CheckpointEvery: 1 << 20, Mode: mode}
	if operator != nil {
		config.Operator = audit.Operator(operator.Public().(ed25519.PublicKey))
	}
	if _, err := p.cl.Deploy(ctx, kv.V2, config, voters); err != nil {
		t.Fatal(err)
	}
	return p
}

// leader is the node whose server leads the log of the first epoch.
func (p *processes) leader() (n int) {
	p.t.Helper()
	ctx := within(p.t, patience)
	await(p.t, "a leader of the log", func() bool { n = p.Leader(ctx, p.conn, machine); return n >= 0 })
	return n
}

// serverDir is where the server of a node keeps its streams.
func (p *processes) serverDir(i int) string { return filepath.Join(p.Dir(i), "log") }

// keepCopy copies the server's directory of a node that does not run.
func (p *processes) keepCopy(i int) (restore func()) { return keep(p.t, p.serverDir(i)) }

// keep copies a folder that nobody writes to.
func keep(t *testing.T, dir string) (restore func()) {
	t.Helper()
	backup := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
	}
}

// cutBlocks damages the log's files of a node that does not run.
func (p *processes) cutBlocks(i int) {
	p.t.Helper()
	jetstreamtest.CutBlocks(p.t, p.serverDir(i), jetstream.Ref{Machine: machine, Epoch: 1}.StreamName())
}

// infos asks all replicas, and fails unless all of those answer that want to be asked.
func (p *processes) infos() map[audit.ReplicaID]host.Info {
	infos, err := p.cl.Infos(within(p.t, patience))
	if err != nil {
		return nil
	}
	by := make(map[audit.ReplicaID]host.Info)
	for _, in := range infos {
		by[in.Replica] = in
	}
	return by
}

// infosOf asks until these nodes have answered.
func (p *processes) infosOf(nodes ...int) (by map[audit.ReplicaID]host.Info) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("nodes %v to answer", nodes), func() bool {
		by = p.infos()
		return !slices.ContainsFunc(nodes, func(n int) bool { return by[nodeproc.Replica(n)].Replica == "" })
	})
	return by
}

// awaitVoters waits until the nodes named vote in one epoch that is at least that late.
func (p *processes) awaitVoters(epoch ordering.Epoch, nodes ...int) {
	p.t.Helper()
	var last map[audit.ReplicaID]host.Info
	defer func() {
		for id, in := range last {
			p.t.Logf("%s: epoch %d, at %d/%d, %v %s", id, in.Log, in.Epoch, in.Seq, in.Phase, in.Broken)
		}
	}()
	await(p.t, fmt.Sprintf("nodes %v to vote in epoch %d or later", nodes, epoch), func() bool {
		last = p.infos()
		for _, n := range nodes {
			in := last[nodeproc.Replica(n)]
			if in.Log < epoch || in.Phase != host.PhaseVoting || in.Log != last[nodeproc.Replica(nodes[0])].Log {
				return false
			}
		}
		return true
	})
}

// verify has all replicas make a checkpoint at one seq, and checks that they have one chain and one
// root there.
func (p *processes) verify() {
	t := p.t
	t.Helper()
	out, err := p.cl.Checkpoint(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[audit.ReplicaID]string)
	await(t, "all replicas to store the checkpoint", func() bool {
		for id, in := range p.infos() {
			for _, s := range in.Stored {
				if s.Seq == out.Seq {
					states[id] = fmt.Sprint(s.Epoch, s.Chain, s.Root)
				}
			}
		}
		return len(states) == p.Len()
	})
	for id, s := range states {
		if first := states[nodeproc.Replica(0)]; s != first {
			t.Errorf("%s is at %s, %s at %s", id, s, nodeproc.Replica(0), first)
		}
	}
}

// awaitBroken waits until the nodes named have noticed that the log broke, or have left it behind.
func (p *processes) awaitBroken(nodes ...int) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("nodes %v to notice", nodes), func() bool {
		infos := p.infos()
		for _, n := range nodes {
			if in := infos[nodeproc.Replica(n)]; in.Log < 2 && in.Phase != host.PhaseBroken {
				return false
			}
		}
		return true
	})
}
