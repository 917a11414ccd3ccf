package breaks

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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

// Two replicas were given different logs from one position on, and the third one, which knew which of them was accepted, is
// gone for ever. Nobody but an operator can choose: calls get FAIL, no epoch begins, and recovery names both ways and what each
// would lose. From the one that was accepted nothing is lost, and the replica that went the other way gives up what it has
// beyond the fork.
func TestTwoWays(t *testing.T) {
	t.Parallel()
	p, l, n0, n1, n2 := divided(t)
	p.Kill(n0)
	cluster := &recovery.Cluster{Machine: machine, Conn: p.conn}
	gone := []audit.ReplicaID{nodeproc.Replica(n0)}
	survey := p.chosenBetween(cluster, gone, n1, n2)
	p.fails()
	for _, n := range []int{n1, n2} {
		if in := p.infos()[nodeproc.Replica(n)]; in.Log != 1 || in.Phase != host.PhaseBroken {
			t.Errorf("%s is in epoch %d, %v, though nobody has chosen", nodeproc.Name(n), in.Log, in.Phase)
		}
	}
	for _, way := range [][2]int{{n1, n2}, {n2, n1}} {
		from, other := nodeproc.Replica(way[0]), nodeproc.Replica(way[1])
		plan, err := survey.Plan(from, gone)
		if err != nil {
			t.Fatalf("from %s: %v", from, err)
		}
		t.Logf("from %s after seq %d: %q", from, plan.Base.Seq, plan.Losses)
		if !says(plan.Losses, string(other)+" had ") || !says(plan.Losses, string(gone[0])+" is gone") {
			t.Errorf("from %s, losses are said to be %q", from, plan.Losses)
		}
	}
	plan, err := survey.Plan(nodeproc.Replica(n1), gone)
	if err != nil {
		t.Fatal(err)
	}
	p.forget(n0)
	done := p.recover(cluster, plan)
	if done != 2 {
		t.Errorf("recovery opened epoch %d", done)
	}
	l.more(200)
	nodeproc.OneState(t, p.cl, 2)
	l.end() // nothing that was accepted is lost, and nothing was applied twice
	for id, in := range p.infos() {
		if in.Log != done || len(in.Recoveries) != 1 || in.Recoveries[0].Replica != plan.From {
			t.Errorf("%s is in epoch %d after recoveries %+v; the one that was ordered opened %d", id, in.Log, in.Recoveries, done)
		}
	}
	p.nobodyAccused() // it was the log that spoke with two tongues
}

// nobodyAccused wants no node to have evidence against a replica.
func (p *processes) nobodyAccused() {
	p.t.Helper()
	all, err := nodes.List(within(p.t, patience), p.conn, machine)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, n := range all {
		for i := range n.Machine {
			if faults := n.Machine[i].Faults; len(faults) > 0 {
				p.t.Errorf("%s has evidence of faults: %+v", n.Name, faults)
			}
		}
	}
}

// chosenBetween wants recovery to see the ways of two replicas, and to leave the choice to an operator, as these say.
func (p *processes) chosenBetween(c *recovery.Cluster, gone []audit.ReplicaID, nodes ...int) (s *recovery.Survey) {
	p.t.Helper()
	var last error
	defer func() { p.t.Log("recovery says: ", last) }()
	await(p.t, "recovery to ask which way is meant", func() bool {
		var err error
		if s, err = c.Survey(within(p.t, patience)); err == nil {
			_, err = s.Plan("", gone)
		}
		last = err
		return errors.Is(err, recovery.ErrChoose) && !slices.ContainsFunc(s.Replicas, func(r recovery.Replica) bool {
			return !strings.Contains(r.Why, "more than one way")
		})
	})
	for _, n := range nodes {
		if !strings.Contains(last.Error(), "["+nodeproc.Name(n)+"] at seq ") {
			p.t.Errorf("the way of %s is not named: %v", nodeproc.Name(n), last)
		}
	}
	return s
}

// says tells whether one of the losses is said to be of whom a text begins with.
func says(losses []string, of string) bool {
	return slices.ContainsFunc(losses, func(s string) bool { return strings.HasPrefix(s, of) })
}

// fails wants a call to get FAIL. It changes nothing, whenever it is carried out.
func (p *processes) fails() {
	p.t.Helper()
	var open *client.FailError
	if out, err := p.cl.Call(within(p.t, 2*time.Second), kv.Add("none", 0)); !errors.As(err, &open) {
		p.t.Errorf("call without a majority: %v, %v, want FAIL", out, err)
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
