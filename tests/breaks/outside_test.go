package breaks

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/client/nodes"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/host/epochs"
	"lockstep/ordering/jetstream/embedded"
	"lockstep/tests/nodeproc"
)

// A majority is lost, an operator has the machine go on from the third, and they come back to a server that nobody has lost and that deletes nothing: the log that
// they knew is there, takes inputs, and no break is to be seen in it. Nothing but the question whether others went on keeps them from
// voting there beside the third one, which is asked before the first vote, and again once somebody is heard of in a later epoch.
func TestLostAsk(t *testing.T) {
	t.Parallel()
	o := startOutside(t)
	count := func(from, to int64) { t.Helper(); count(t, o.cl, from, to) }
	count(1, 20)
	o.kill(1)
	o.kill(2)
	var restore []func()
	for _, i := range []int{1, 2} {
		restore = append(restore, keep(t, o.dir(i)))
	}
	if out, ok := o.command.run("recover", string(machine), "--lost", nodeproc.Name(1)+","+nodeproc.Name(2), "--yes"); !ok {
		t.Fatal(out)
	}
	count(21, 40)
	there := func(i int) bool {
		in := o.info(i)
		return in.Log == epochs.Leap+1 && in.Phase == host.PhaseObserving
	}

	old := sendTo(t, o.command.urls[0], 1)
	o.start(1)
	o.start(2)
	await(t, "those that were lost to go where the third one is", func() bool { old.add(); return there(1) && there(2) })
	t.Logf("of entries for the epoch that was ended, %d were ordered meanwhile", old.ordered)
	if n := old.accepted(1); n > 0 || old.ordered == 0 {
		t.Errorf("those that were lost voted for %d of %d entries of the epoch that was ended", n, old.ordered)
	}
	count(41, 60)

	// While nobody tells them they vote, and nothing can keep them from it.
	for i := range 3 {
		o.kill(i)
	}
	for _, f := range restore {
		f()
	}
	o.start(1)
	o.start(2)
	old = sendTo(t, o.command.urls[0], 1)
	await(t, "those that were lost to vote where they hear of nobody else", func() bool { old.add(); return old.accepted(2) > 0 })
	o.start(0)
	await(t, "those that were lost to go where the third one is", func() bool { old.add(); return there(1) && there(2) })
	old.accepted(2) // what they voted for until then
	late := sendTo(t, o.command.urls[0], 1)
	for range 20 {
		late.add()
	}
	count(61, 80)
	if n := late.accepted(1); n > 0 || late.ordered == 0 {
		t.Errorf("those that were lost voted for %d of %d entries after they had stopped", n, late.ordered)
	}
	nodeproc.OneState(t, o.cl, 3)
}

// outside are three nodes, each a process of the command, over a server that is not theirs, and that lets nobody delete a log.
type outside struct {
	t       *testing.T
	root    string
	command *command
	run     [3]*exec.Cmd
	conn    *nats.Conn
	cl      *client.Client
}

func startOutside(t *testing.T) *outside {
	t.Helper()
	const config = `authorization { users: [ { user: any, password: any, permissions: { publish: { deny: "$JS.API.STREAM.DELETE.*" } } } ] }
no_auth_user: any`
	server, err := embedded.Start(embedded.Options{Name: "theirs", Dir: t.TempDir(), ClientPort: -1, MaxStore: 4 << 30, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	if err := server.WaitReady(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	o := &outside{t: t, root: t.TempDir(), command: buildCommand(t, server.ClientURL())}
	t.Cleanup(func() {
		for i := range o.run {
			o.kill(i)
		}
	})
	if o.conn, err = nats.Connect(server.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.conn.Close)
	var voters []audit.ReplicaID
	for i := range o.run {
		o.start(i)
		voters = append(voters, nodeproc.Replica(i))
		q := admin.HostRequest{Machine: machine, Create: i == 0, Replicas: 1}
		await(t, "a node to host the machine", func() bool { return nodes.Host(within(t, patience), o.conn, voters[i], q) == nil })
	}
	if o.cl, err = client.Connect(within(t, patience), client.Options{Machine: string(machine), Conn: o.conn}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.cl.Close() })
	if _, err := o.cl.Deploy(within(t, patience), kv.V2, host.Config{AuditEvery: 16}, voters); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outside) dir(i int) string { return filepath.Join(o.root, nodeproc.Name(i)) }

func (o *outside) start(i int) {
	o.t.Helper()
	run := exec.Command(o.command.path, "node", "--name", nodeproc.Name(i), "--data", o.dir(i), "--http", "", "--log-level", "error", "--nats-url", o.command.urls[0])
	run.Stderr = o.t.Output()
	if err := run.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.run[i] = run
}

func (o *outside) kill(i int) {
	if o.run[i] != nil {
		_, _ = o.run[i].Process.Kill(), o.run[i].Wait() // it says that it was killed
		o.run[i] = nil
	}
}

// info is what a node's replica says of itself, nothing while it does not.
func (o *outside) info(i int) host.Info {
	ctx, cancel := context.WithTimeout(o.t.Context(), 5*time.Second)
	defer cancel()
	infos, err := o.cl.Infos(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		o.t.Error(err)
	}
	for _, in := range infos {
		if in.Replica == nodeproc.Replica(i) {
			return in
		}
	}
	return host.Info{}
}
