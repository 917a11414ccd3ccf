package breaks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
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
	command := p.command()
	cluster := &recovery.Cluster{Machine: machine, Conn: p.conn}
	gone := []audit.ReplicaID{nodeproc.Replica(n0)}
	survey := p.chosenBetween(cluster, gone, n1, n2)
	p.fails()
	for id, in := range p.infosOf(n1, n2) {
		if in.Log != 1 || in.Phase != host.PhaseBroken {
			t.Errorf("%s is in epoch %d, %v, though nobody has chosen", id, in.Log, in.Phase)
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

	args := []string{"recover", string(machine), "--lost", nodeproc.Name(n0), "--system-nkey", p.SystemKey(), "--reason", "it does not come back"}
	if out, ok := command.run(args...); ok || !strings.Contains(out, "there is more than one way on") {
		t.Errorf("lockstep recover chose by itself:\n%s", out)
	}
	from := nodeproc.Name(n1)
	out, ok := command.run(append(args, "--from", from, "--yes")...)
	for _, want := range []string{
		fmt.Sprintf("to seq %d: %s", endOf(survey, n1), from), fmt.Sprintf("to seq %d: %s", endOf(survey, n2), nodeproc.Name(n2)),
		fmt.Sprintf("would go on after seq %d from %s", endOf(survey, n1), from),
		fmt.Sprintf("- %s had ", nodeproc.Name(n2)), fmt.Sprintf("- %s is gone", nodeproc.Name(n0)), "kv goes on in epoch 2",
	} {
		if !ok || !strings.Contains(out, want) {
			t.Fatalf("lockstep recover does not say %q:\n%s", want, out)
		}
	}
	l.more(200)
	nodeproc.OneState(t, p.cl, 2)
	l.end() // nothing that was accepted is lost, and nothing was applied twice
	for id, in := range p.infosOf(n1, n2) {
		if in.Log != 2 || len(in.Recoveries) != 1 || string(in.Recoveries[0].Replica) != from {
			t.Errorf("%s is in epoch %d after recoveries %+v; one was ordered from %s, and opened 2", id, in.Log, in.Recoveries, from)
		}
	}
	p.nobodyAccused() // it was the log that spoke with two tongues
}

// endOf is how far a node's replica has come.
func endOf(s *recovery.Survey, n int) ordering.Seq {
	i := slices.IndexFunc(s.Stands, func(st audit.Stand) bool { return st.Replica == nodeproc.Replica(n) })
	return s.Stands[max(i, 0)].Last.Seq
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
