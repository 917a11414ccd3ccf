package breaks

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"path/filepath"
	"slices"
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
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
)

// A majority is lost, and an operator has the machine go on from the one that is left, which had not read all that was
// accepted. Then one of the lost comes back with its disk, where all of it is. It neither brings that back nor has anybody
// answered by it; under a new name it joins, gives up what has no place any more, and is brought only the pages that differ.
func TestLostOneReturns(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	full := p.fill()
	left, lost, other := p.loseTwo()
	epoch, base := p.goOn(lost, other)
	cl := p.reach(left)
	p.count(p.cl, 21, 40) // what was accepted meanwhile is lost, as it was said, and nothing else
	if _, err := cl.Checkpoint(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	// The epoch's log does not show any more how it began, and overlaps with what the one that comes back has read.
	await(t, "the log to be cut", func() bool { return p.logFirst() > base+1 })

	// As it was, and as nobody is to do it. Then the same disk again.
	restore := keep(t, filepath.Join(p.Dir(lost), "node"))
	p.Relaunch(t, lost)
	p.passedBy(cl, 41, epoch, lost)

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

// The same, and both of the lost come back together, with their servers' disks too: they are a majority of the replicas and of the
// servers that they know. They do not go on beside the one that is left. Where they cannot reach it they do, and nothing can
// tell them not to, even to epochs of their own; they stop once they can.
func TestLostMajorityReturns(t *testing.T) {
	t.Parallel()
	startProcesses(t).majorityReturns()
}

func (p *processes) majorityReturns() {
	t := p.t
	t.Helper()
	left, lost, other := p.loseTwo()
	restore := []func(){keep(t, p.Dir(lost)), keep(t, p.Dir(other))}
	epoch, _ := p.goOn(lost, other)
	cl := p.reach(left)
	p.count(cl, 21, 40)
	p.Relaunch(t, lost)
	p.Relaunch(t, other)
	p.passedBy(cl, 41, epoch, lost, other)
	for i, astray := range []ordering.Epoch{1, 2} {
		p.Kill(lost)
		p.Kill(other)
		for _, f := range restore {
			f()
		}
		p.astray(left, lost, other, astray)
		p.Cut(left, false)
		p.awaitLeft(epoch, lost, other)
		p.passedBy(cl, int64(61+20*i), epoch, lost, other)
	}
	p.nobodyAccused()
}

// astray has the lost ones come back where they cannot reach the one that is left, and accept something in an epoch of theirs.
func (p *processes) astray(left, lost, other int, epoch ordering.Epoch) {
	t := p.t
	t.Helper()
	p.Cut(left, true)
	for _, n := range []int{lost, other} {
		p.Relaunch(t, n)
	}
	for _, n := range []int{lost, other} {
		p.Await(t, n)
	}
	for e := ordering.Epoch(1); e <= epoch; e++ {
		old := sendTo(t, p.URL(lost), e)
		await(t, fmt.Sprintf("those that were lost to vote in epoch %d where they hear of nobody else", e), func() bool { old.add(); return old.accepted(2) > 0 })
		if e < epoch {
			p.deleteLog(lost, e)
		}
	}
}

// deleteLog deletes a log by the servers of one node.
func (p *processes) deleteLog(node int, epoch ordering.Epoch) {
	p.t.Helper()
	conn, err := nats.Connect(p.URL(node))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	await(p.t, "the log to be deleted", func() bool {
		err := jetstream.Delete(within(p.t, patience), conn, jetstream.Ref{Machine: machine, Epoch: epoch})
		return err == nil || errors.Is(err, ordering.ErrNotFound)
	})
}

// awaitLeft waits until nodes that were given up go where the one is that went on.
func (p *processes) awaitLeft(epoch ordering.Epoch, back ...int) {
	t := p.t
	t.Helper()
	began := time.Now()
	all := func(is func(host.Info) bool) bool {
		infos := p.infos()
		return !slices.ContainsFunc(back, func(n int) bool {
			in := infos[nodeproc.Replica(n)]
			return in.Replica == "" || !is(in)
		})
	}
	await(t, "those that were lost to stop", func() bool { return all(func(in host.Info) bool { return in.Phase != host.PhaseVoting }) })
	t.Logf("the lost ones stopped %v after the partition's end", time.Since(began))
	await(t, "those that were lost to go where the one is that went on", func() bool {
		return all(func(in host.Info) bool { return in.Log >= epoch && in.Phase == host.PhaseObserving })
	})
	t.Logf("and were there after %v", time.Since(began))
}

// loseTwo has two nodes accept what the third has not read, and lose them; the third runs again, and its server elects alone.
func (p *processes) loseTwo() (left, lost, other int) {
	t := p.t
	t.Helper()
	p.count(p.cl, 1, 20)
	first := p.leader()
	left, lost, other = (first+1)%3, first, (first+2)%3
	p.Kill(left)
	p.count(p.cl, 21, 60) // that replica has not read them
	p.Kill(lost)
	p.Kill(other)
	p.Relaunch(t, left)
	p.forget(lost, other)
	p.Await(t, left)
	return left, lost, other
}

// goOn has an operator have the machine go on from the one that is left.
func (p *processes) goOn(gone ...int) (epoch ordering.Epoch, base ordering.Seq) {
	t := p.t
	t.Helper()
	cluster := &recovery.Cluster{Machine: machine, Conn: p.conn}
	survey, err := cluster.Survey(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	var ids []audit.ReplicaID
	for _, n := range gone {
		ids = append(ids, nodeproc.Replica(n))
	}
	plan, err := survey.Plan("", ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range gone {
		if !says(plan.Losses, nodeproc.Name(n)+" is gone") {
			t.Errorf("losses are said to be %q", plan.Losses)
		}
	}
	return p.recover(cluster, plan), plan.Base.Seq
}

// passedBy has the one that goes on answer the next 20 calls while lost ones run again, which neither vote nor
// have anybody answered who asks them.
func (p *processes) passedBy(cl *client.Client, from int64, epoch ordering.Epoch, back ...int) {
	t := p.t
	t.Helper()
	for _, n := range back {
		await(t, "the server that came back to take clients", func() bool { return p.reachable(n) })
	}
	old := sendTo(t, p.URL(back[0]), 1)
	pace := time.NewTicker(100 * time.Millisecond) // so that what servers and replicas do by their timers happens meanwhile
	defer pace.Stop()
	for want := from; want < from+20; want++ {
		<-pace.C
		old.add()
		p.count(cl, want, want)
		for _, n := range back {
			if in := p.infos()[nodeproc.Replica(n)]; in.Log >= epoch && in.Phase == host.PhaseVoting {
				t.Fatalf("%s votes, though it is no member: %+v", nodeproc.Name(n), in)
			}
		}
	}
	for _, n := range back {
		p.rightOrFails(p.reach(n), from+19)
	}
	t.Logf("of 20 entries for the epoch that was ended, %d were ordered", old.ordered)
	if n := old.accepted(1); n > 0 {
		t.Errorf("those that are lost voted for %d of them", n)
	}
}

// sender sends to the log of one epoch by one server, whatever became of it, and hears who votes for what.
type sender struct {
	t       *testing.T
	log     *jetstream.Appender
	key     ed25519.PrivateKey
	batch   host.Batch
	heard   *nats.Subscription
	ordered int
	votes   map[ordering.Seq]int
}

func sendTo(t *testing.T, url string, epoch ordering.Epoch) *sender {
	t.Helper()
	s := &sender{t: t, votes: make(map[ordering.Seq]int)}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.key, s.batch.Session.Client = key, host.ClientID(public)
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if s.log, err = jetstream.NewAppender(conn, jetstream.Ref{Machine: machine, Epoch: epoch}); err == nil {
		s.heard, err = conn.SubscribeSync(host.OutputSubject(string(machine), s.batch.Session.Client))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add adds to a number of its own.
func (s *sender) add() {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second/2)
	defer cancel()
	s.batch.Inputs = []host.Input{{Number: uint64(s.ordered + 1), Payload: kv.Add("old", 1)}}
	if _, err := s.log.Append(ctx, s.batch.Sign(string(machine), s.key)); err == nil {
		s.ordered++
	}
}

// accepted is the number of entries for which so many have voted.
func (s *sender) accepted(by int) (n int) {
	for m, err := s.heard.NextMsg(time.Millisecond); err == nil; m, err = s.heard.NextMsg(time.Millisecond) {
		if a, _, err := protocol.DecodeAnswer(s.batch.Session.Client, m.Data); err == nil {
			s.votes[a.Vote.Seq]++
		}
	}
	for _, votes := range s.votes {
		if votes >= by {
			n++
		}
	}
	return n
}

// fill gives the machine a state that takes some bytes to bring.
func (p *processes) fill() (bytes uint64) {
	p.t.Helper()
	random := mrand.NewChaCha8([32]byte{1})
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
func (p *processes) count(cl *client.Client, from, to int64) { p.t.Helper(); count(p.t, cl, from, to) }

func count(t *testing.T, cl *client.Client, from, to int64) {
	t.Helper()
	for want := from; want <= to; want++ {
		out, err := cl.Call(within(t, patience), kv.Add("count", 1))
		if err != nil {
			t.Fatalf("call %d: %v", want, err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != want {
			t.Fatalf("the count is %d, %v, want %d", got, err, want)
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
	if p.operator != nil {
		p.unsigned(c, plan)
	}
	done, err := c.Order(within(p.t, patience), plan, "they do not come back", p.operator)
	if err == nil {
		err = c.Await(within(p.t, patience), done)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return done.Epoch
}
