package breaks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/client/membership"
	"lockstep/client/nodes"
	"lockstep/client/recovery"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/tests/nodeproc"
)

// A majority is lost, and an operator has the machine go on from the one that is left, which had not read all that was
// accepted. Then one of the lost comes back with its disk, where all of it is. It neither brings that back nor has anybody
// answered by it; under a new name it joins, gives up what has no place any more, and is brought only the pages that differ.
func TestLostOneReturns(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	full := p.fill()
	p.count(p.cl, 1, 20)
	first := p.leader()
	left, lost, other := (first+1)%3, first, (first+2)%3
	p.Kill(left)
	p.count(p.cl, 21, 60) // that replica has not read them
	p.Kill(lost)
	p.Kill(other)
	p.Relaunch(t, left)
	p.forget(lost, other)
	p.Await(t, left)

	cluster := &recovery.Cluster{Machine: machine, Conn: p.conn}
	survey, err := cluster.Survey(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := survey.Plan("", []audit.ReplicaID{nodeproc.Replica(lost), nodeproc.Replica(other)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{lost, other} {
		if !says(plan.Losses, nodeproc.Name(n)+" is gone") {
			t.Errorf("losses are said to be %q", plan.Losses)
		}
	}
	epoch := p.recover(cluster, plan)
	cl := p.reach(left)
	p.count(cl, 21, 40) // what was accepted meanwhile is lost, as it was said, and nothing else
	if _, err := cl.Checkpoint(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	// The epoch's log does not show any more how it began, and overlaps with what the one that comes back has read.
	await(t, "the log to be cut", func() bool { return p.logFirst() > plan.Base.Seq+1 })

	// As it was, and as nobody is to do it. Then the same disk again.
	restore := p.keep(filepath.Join(p.Dir(lost), "node"))
	p.Relaunch(t, lost)
	await(t, "the server that came back to take clients", func() bool { return p.reachable(lost) })
	pace := time.NewTicker(100 * time.Millisecond) // so that what servers and replicas do by their timers happens meanwhile
	defer pace.Stop()
	for want := int64(41); want <= 60; want++ {
		<-pace.C
		p.count(cl, want, want)
		if in := p.infos()[nodeproc.Replica(lost)]; in.Log >= epoch && in.Phase == host.PhaseVoting {
			t.Fatalf("%s votes, though it is no member: %+v", nodeproc.Name(lost), in)
		}
	}
	p.rightOrFails(p.reach(lost), 60)

	p.Kill(lost)
	restore()
	back := p.Add(t, lost)
	m := &membership.Cluster{Machine: machine, Client: cl, Conn: p.conn, System: p.Connect(t, nodeproc.System), Embedded: true}
	if err := m.Join(within(t, patience), nodeproc.Replica(back)); err != nil {
		t.Fatal(err)
	}
	p.count(cl, 61, 80)
	nodeproc.OneState(t, cl, 2)
	brought, size := p.Moved(t, back)
	t.Logf("it was brought %d bytes of a state of %d", brought, size)
	if brought == 0 || brought > full/4 {
		t.Errorf("the node with the old disk was brought %d bytes, of values of %d", brought, full)
	}
	p.nobodyAccused()
}

// fill gives the machine a state that takes some bytes to bring.
func (p *processes) fill() (bytes uint64) {
	p.t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	for i := range 64 {
		value := make([]byte, 4096)
		_, _ = random.Read(value) // never fails
		if _, err := p.cl.Call(within(p.t, patience), kv.Put(fmt.Sprintf("value-%d", i), value)); err != nil {
			p.t.Fatal(err)
		}
		bytes += uint64(len(value))
	}
	return bytes
}

// count adds to one number, of which every answer must be the count so far.
func (p *processes) count(cl *client.Client, from, to int64) {
	p.t.Helper()
	for want := from; want <= to; want++ {
		out, err := cl.Call(within(p.t, patience), kv.Add("count", 1))
		if err != nil {
			p.t.Fatalf("call %d: %v", want, err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
			p.t.Fatalf("the count is %d, %v, want %d", got, err, want)
		}
	}
}

// logFirst is the seq at which the log begins, as a node sees it. Who is asked while a server goes away may not know.
func (p *processes) logFirst() (first ordering.Seq) {
	p.t.Helper()
	await(p.t, "a node to say where the log begins", func() bool {
		all, err := nodes.List(within(p.t, patience), p.conn, machine)
		for _, n := range all {
			for i := range n.Machine {
				first = max(first, n.Machine[i].LogFirst)
			}
		}
		return err == nil && first > 0
	})
	return first
}

// reach connects a client to one node.
func (p *processes) reach(i int) *client.Client {
	p.t.Helper()
	cl, err := client.Connect(within(p.t, patience), client.Options{Machine: string(machine), URLs: []string{p.URL(i)}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// reachable tells whether the server of a node takes clients.
func (p *processes) reachable(i int) bool {
	conn, err := nats.Connect(p.URL(i))
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// rightOrFails wants a call to get what the count is, or FAIL: whoever it reaches, nobody gives an answer from before.
func (p *processes) rightOrFails(cl *client.Client, count int64) {
	p.t.Helper()
	out, err := cl.Call(within(p.t, 5*time.Second), kv.Add("count", 0))
	if err == nil {
		var got int64
		if got, err = kv.DecodeNumber(out.Bytes); err == nil && got != count {
			p.t.Errorf("the count is %d, want %d: it is what was given up", got, count)
		}
	} else if errors.As(err, new(*client.FailError)) {
		return
	}
	if err != nil {
		p.t.Error(err)
	}
}

// forget has the servers that are left elect without those of some nodes.
func (p *processes) forget(nodes ...int) {
	p.t.Helper()
	servers := &membership.Cluster{Machine: machine, Conn: p.conn, System: p.Connect(p.t, nodeproc.System), Embedded: true}
	var names []string
	for _, n := range nodes {
		names = append(names, nodeproc.Name(n))
	}
	if err := servers.Rescue(within(p.t, patience), names); err != nil {
		p.t.Fatal(err)
	}
}

// recover orders what was planned, and waits until those that go on vote in the epoch.
func (p *processes) recover(c *recovery.Cluster, plan recovery.Plan) ordering.Epoch {
	p.t.Helper()
	done, err := c.Order(within(p.t, patience), plan, "they do not come back")
	if err == nil {
		err = c.Await(within(p.t, patience), done)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return done.Epoch
}
