package breaks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/tests/nodeproc"
)

// Two replicas were given different logs from one position on, and the third one, which knew which of them was accepted, is
// gone for ever. Nobody but an operator can choose: calls get FAIL, no epoch begins, and recovery names both ways and what each
// would lose. From the one that was accepted nothing is lost, and the replica that went the other way gives up what it has
// beyond the fork.
func TestTwoWays(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	p.twoWays(p.recovery)
}

// twoWays has an operator decide by what recovery has the command do.
func (p *processes) twoWays(recovery func(lost int) []string) {
	t := p.t
	t.Helper()
	l, n0, n1, n2 := p.divided()
	p.Kill(n0)
	command := p.command()
	survey := p.undecided(command, n0, n1, n2)
	p.decide(command, survey, recovery(n0), n1, n2, n0)
	l.more(200)
	nodeproc.OneState(t, p.cl, 2)
	l.end() // nothing that was accepted is lost, and nothing was applied twice
	p.recovered(n1, n2)
}

// The same, and the operator chooses the way that was not accepted. What was accepted on the other one is lost, that and
// nothing else, and whoever has the proof of it is told so, also where the log has other entries at these seqs now.
func TestOtherWay(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	l, n0, n1, n2 := p.divided()
	p.Kill(n0)
	command := p.command()
	survey := p.undecided(command, n0, n1, n2)
	before, err := p.cl.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	l.uncounted.Store(true)
	p.decide(command, survey, p.recovery(n0), n2, n1, n0)
	l.more(200)
	nodeproc.OneState(t, p.cl, 2)
	r := p.recovered(n2, n1)
	after, err := p.cl.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	var kept client.Output // the last one before the fork
	lost := l.survivors(func(o client.Output) bool {
		stated, err := client.Verify(o.Certificate(), before)
		if err != nil {
			stated, err = client.Verify(o.Certificate(), after)
		}
		if err != nil {
			t.Errorf("certificate of an output at seq %d: %v", o.Seq, err)
		}
		gone := r.Lost(stated.Epoch, stated.Seq, stated.Voters)
		if !gone && stated.Epoch == 1 && o.Seq > kept.Seq {
			kept = o
		}
		return gone
	})
	t.Logf("epoch 1001 began after seq %d; %d outputs lost", r.Base.Seq, len(lost))
	if len(lost) < 500 { // which were accepted after the fork
		t.Fatalf("%d outputs are said to be lost", len(lost))
	}
	if first := lost[0].Seq; first > r.Base.Seq || kept.Seq >= first {
		t.Errorf("outputs from seq %d on are lost, up to %d kept; the way that was chosen parted before it ended at %d", first, kept.Seq, r.Base.Seq)
	}
	voters := filepath.Join(t.TempDir(), "voters")
	put(t, voters, host.MembersFormat.Encode(before))
	for _, c := range []struct {
		out  client.Output
		says string
		ok   bool
	}{
		{kept, "valid: ", true}, {lost[0], "the voters did state it, and it is lost", false}, {lost[len(lost)-1], "it is lost", false},
	} {
		proof := filepath.Join(t.TempDir(), "proof")
		put(t, proof, c.out.Certificate())
		if out, ok := command.run("verify", proof, "--members", voters, "--machine", string(machine)); ok != c.ok || !strings.Contains(out, c.says) {
			t.Errorf("lockstep verify of the output at seq %d: %v, %s", c.out.Seq, ok, out)
		}
	}
	want := fmt.Sprintf("epoch 1001 began after seq %d on an operator's word, from %s", r.Base.Seq, nodeproc.Name(n2))
	if out, ok := command.run("status", string(machine)); !ok || !strings.Contains(out, want) || !strings.Contains(out, nodeproc.Name(n1)+" had ") {
		t.Errorf("lockstep status tells nothing of what was lost:\n%s", out)
	}
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// undecided wants nobody to choose between the ways of two replicas, and recovery to say what each would lose.
func (p *processes) undecided(command *command, lost int, two ...int) *recovery.Survey {
	t := p.t
	t.Helper()
	cluster := &recovery.Cluster{Machine: machine, Conn: p.conn}
	gone := []audit.ReplicaID{nodeproc.Replica(lost)}
	survey := p.chosenBetween(cluster, gone, two...)
	p.fails()
	for id, in := range p.infosOf(two...) {
		if in.Log != 1 || in.Phase != host.PhaseBroken {
			t.Errorf("%s is in epoch %d, %v, though nobody has chosen", id, in.Log, in.Phase)
		}
	}
	for _, way := range [][2]int{{two[0], two[1]}, {two[1], two[0]}} {
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
	if out, ok := command.run(p.recovery(lost)...); ok || !strings.Contains(out, "there is more than one way on") {
		t.Errorf("lockstep recover chose by itself:\n%s", out)
	}
	return survey
}

// recovery is what an operator gives without one node.
func (p *processes) recovery(lost int) []string {
	return []string{"recover", string(machine), "--lost", nodeproc.Name(lost), "--system-nkey", p.SystemKey(), "--reason", "it does not come back"}
}

// decide has the command go on from one replica, and say what is lost.
func (p *processes) decide(command *command, survey *recovery.Survey, order []string, from, other, lost int) {
	p.t.Helper()
	out, ok := command.run(append(order, "--from", nodeproc.Name(from), "--yes")...)
	for _, want := range []string{
		fmt.Sprintf("to seq %d: %s", endOf(survey, from), nodeproc.Name(from)), fmt.Sprintf("to seq %d: %s", endOf(survey, other), nodeproc.Name(other)),
		fmt.Sprintf("would go on after seq %d from %s", endOf(survey, from), nodeproc.Name(from)),
		fmt.Sprintf("- %s had ", nodeproc.Name(other)), fmt.Sprintf("- %s is gone", nodeproc.Name(lost)), "kv goes on in epoch 1001",
	} {
		if !ok || !strings.Contains(out, want) {
			p.t.Fatalf("lockstep recover does not say %q:\n%s", want, out)
		}
	}
}

// recovered wants two replicas to be in the epoch that an operator had open from the first of them.
func (p *processes) recovered(from, other int) (r epochs.Recovery) {
	p.t.Helper()
	for id, in := range p.infosOf(from, other) {
		if in.Log != epochs.Leap+1 || len(in.Recoveries) != 1 || in.Recoveries[0].Replica != nodeproc.Replica(from) {
			p.t.Fatalf("%s is in epoch %d after recoveries %+v; one was ordered from %s", id, in.Log, in.Recoveries, nodeproc.Name(from))
		}
		r = in.Recoveries[0]
	}
	p.nobodyAccused() // it was the log that spoke with two tongues
	return r
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
