package linear

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/client/membership"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
)

// trial is one cluster under faults.
type trial struct {
	t       *testing.T
	random  *rand.Rand
	cluster *nodeproc.Cluster
	conn    *nats.Conn // of the one who makes the faults
	members *membership.Cluster
	voters  []int    // nodes
	gone    []int    // nodes that do not come back
	flipped bool     // a bit, once in a trial
	made    []string // faults, for the log
}

// fault does harm, and returns what mends it. More than one may be under way at once, so that also a majority is hurt.
type fault struct {
	name   string
	weight int
	make   func(tr *trial, ctx context.Context) (mend func())
}

var faults = []fault{
	{"kill", 4, (*trial).kill},
	{"kill the leader", 3, (*trial).killLeader},
	{"kill all", 1, (*trial).killAll},
	{"stop", 3, (*trial).stop},
	{"cut off", 4, (*trial).cut},
	{"cut off the leader", 2, (*trial).cutLeader},
	{"step down", 3, (*trial).stepDown},
	{"clock", 3, (*trial).clock},
	{"clock of the leader", 3, (*trial).clockOfLeader},
	{"flip a bit", 2, (*trial).flip},
	{"replace", 1, (*trial).replace},
}

// rounds makes faults, one after another or some at once, until ctx ends.
func (tr *trial) rounds(ctx context.Context) {
	var mends []func()
	for ctx.Err() == nil {
		f := tr.pick()
		tr.made = append(tr.made, f.name)
		mends = append(mends, f.make(tr, ctx))
		tr.pause(ctx, 150, 900)
		if len(mends) == *most || tr.random.IntN(2) == 0 {
			for _, mend := range mends {
				mend()
			}
			mends = nil
			tr.pause(ctx, 100, 700)
		}
	}
	for _, mend := range mends {
		mend()
	}
}

func (tr *trial) pick() fault {
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	n := tr.random.IntN(sum)
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	return faults[0]
}

// pause lets some milliseconds pass: how long a fault lasts is a part of it.
func (tr *trial) pause(ctx context.Context, least, most int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(least+tr.random.IntN(most-least)) * time.Millisecond):
	}
}

func (tr *trial) anyVoter() int { return tr.voters[tr.random.IntN(len(tr.voters))] }

func (tr *trial) leader(ctx context.Context) int {
	if i := tr.cluster.Leader(ctx, tr.conn, machine); i >= 0 {
		return i
	}
	return tr.anyVoter()
}

func (tr *trial) kill(context.Context) func() { return tr.killed(tr.anyVoter()) }

func (tr *trial) killLeader(ctx context.Context) func() { return tr.killed(tr.leader(ctx)) }

func (tr *trial) killed(i int) func() {
	tr.cluster.Kill(i)
	return func() { tr.cluster.Relaunch(tr.t, i) }
}

func (tr *trial) killAll(context.Context) func() {
	for _, i := range tr.voters {
		tr.cluster.Kill(i)
	}
	return func() {
		for _, i := range tr.voters {
			tr.cluster.Relaunch(tr.t, i)
		}
	}
}

func (tr *trial) stop(context.Context) func() {
	i := tr.anyVoter()
	tr.cluster.Pause(i)
	return func() { tr.cluster.Resume(i) }
}

func (tr *trial) cut(context.Context) func() { return tr.cutOff(tr.anyVoter()) }

func (tr *trial) cutLeader(ctx context.Context) func() { return tr.cutOff(tr.leader(ctx)) }

func (tr *trial) cutOff(i int) func() {
	tr.cluster.Cut(i, true)
	return func() { tr.cluster.Cut(i, false) }
}

func (tr *trial) stepDown(ctx context.Context) func() {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream := jetstream.Ref{Machine: machine, Epoch: 1}.StreamName()
	m, err := tr.conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	var said struct{ Success bool }
	if err == nil && json.Unmarshal(m.Data, &said) == nil && said.Success {
		return func() {}
	}
	return func() {} // nobody leads just now
}

func (tr *trial) clock(context.Context) func() { return tr.setClock(tr.anyVoter()) }

func (tr *trial) clockOfLeader(ctx context.Context) func() { return tr.setClock(tr.leader(ctx)) }

// setClock has a clock step forward or back, by up to two hours, and back to the time.
func (tr *trial) setClock(i int) func() {
	most := []time.Duration{3 * time.Second, 5 * time.Minute, 2 * time.Hour}[tr.random.IntN(3)]
	tr.cluster.SetClock(tr.t, i, (time.Duration(tr.random.Int64N(int64(2*most))) - most).Truncate(time.Second))
	return func() { tr.cluster.SetClock(tr.t, i, 0) }
}

// flip flips a bit of a register, a key's value or a balance, once in a trial: of three voters one
// may be wrong at a time, and it takes an audit and a checkpoint to mend it.
func (tr *trial) flip(context.Context) func() {
	i := tr.anyVoter()
	if tr.flipped || !tr.cluster.Answers(i) {
		return func() {}
	}
	tr.flipped = true
	tr.cluster.Flip(tr.t, i, machine, mark, flipAt(tr.random), tr.random.IntN(3))
	return func() {}
}

// replace has a new node vote in place of one that is killed and does not come back, once in a trial.
func (tr *trial) replace(ctx context.Context) func() {
	if len(tr.gone) > 0 {
		return func() {}
	}
	old := tr.anyVoter()
	tr.cluster.Mend(tr.t)
	tr.oneState() // one that is gone for ever, and another that is still behind, are two faults at once
	tr.cluster.Kill(old)
	fresh := tr.cluster.Add(tr.t, -1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := tr.members.Replace(ctx, nodeproc.Replica(old), nodeproc.Replica(fresh)); err != nil {
		tr.t.Fatalf("replace %s: %v", nodeproc.Name(old), err)
	}
	tr.gone = append(tr.gone, old)
	for k, i := range tr.voters {
		if i == old {
			tr.voters[k] = fresh
		}
	}
	return func() {}
}

func (tr *trial) String() string { return fmt.Sprint(tr.made) }
