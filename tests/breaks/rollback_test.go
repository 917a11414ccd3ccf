package breaks

import "testing"

// Files of servers are those of a while ago.
func TestRolledBack(t *testing.T) {
	t.Run("OldCopyRestored", oldCopyRestored)
	t.Run("AllServers", allServersRolledBack)
	t.Run("SplitBrain", splitBrain)
}

// Both replicas that are left stop; then the leader comes back, and the next epoch has all that was accepted.
func splitBrain(t *testing.T) {
	p := startProcesses(t)
	l, n0, _, _ := p.divided()
	p.Resume(n0)
	p.awaitVoters(2, 0, 1, 2)
	l.more(200)
	l.end()
	p.verify()
}

// divided makes the split brain that one server's loss of data makes (nats-server #7567), step by step: the leader n0
// and one follower, n1, acknowledge while the other one, n2, is down; n1's server loses its data since before; n0 is
// paused; n1 and n2 give out the same positions a second time. One of them has what was accepted, the other may have
// voted for something else: only with the third one's word is it known which.
func (p *processes) divided() (l *load, n0, n1, n2 int) {
	t := p.t
	t.Helper()
	l = startLoad(t, p.cl)
	l.more(100)
	n0 = p.leader()
	n1, n2 = (n0+1)%3, (n0+2)%3
	p.Kill(n1)
	restore := p.keepCopy(n1)
	p.Start(t, n1)
	p.awaitVoters(1, n0, n1, n2)
	p.Kill(n2)
	l.more(500) // accepted by n0 and n1
	p.Kill(n1)
	restore()
	p.Pause(n0)
	p.Relaunch(t, n1)
	p.Relaunch(t, n2)
	p.Await(t, n1)
	p.Await(t, n2)
	p.awaitBroken(n1, n2)
	return l, n0, n1, n2
}

// An old copy of one server's store is restored while the others go on.
func oldCopyRestored(t *testing.T) {
	p := startProcesses(t)
	l := startLoad(t, p.cl)
	l.more(100)
	n1 := (p.leader() + 1) % 3
	p.Kill(n1)
	restore := p.keepCopy(n1)
	p.Start(t, n1)
	p.awaitVoters(1, 0, 1, 2)
	l.more(300)
	p.Kill(n1)
	restore()
	p.Start(t, n1)
	l.more(300)
	p.awaitVoters(1, 0, 1, 2)
	l.end()
	p.verify()
}

// All servers lose what they acknowledged last, as after a power cut with a sync_interval of minutes:
// their files are those of a while ago. What replicas have is not lost.
func allServersRolledBack(t *testing.T) {
	p := startProcesses(t)
	l := startLoad(t, p.cl)
	l.more(100)
	for i := range 3 {
		p.Kill(i)
	}
	var restore []func()
	for i := range 3 {
		restore = append(restore, p.keepCopy(i))
	}
	p.Mend(t)
	l.more(300)
	for i := range 3 {
		p.Kill(i)
	}
	for _, f := range restore {
		f()
	}
	p.Mend(t)
	p.awaitVoters(2, 0, 1, 2)
	l.more(200)
	l.end()
	p.verify()
}
