package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// end compares every replica in the same position.
func (r *run) end(ctx context.Context, s *Step) error {
	var last ordering.State
	var err error
	if err := await(ctx, "all replicas to be at the end of the log", func() bool {
		if last, err = r.log(ctx); err != nil {
			return false
		}
		for i := range r.cluster.Len() {
			if r.replicaSeq(i) != last.Last {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	type row struct {
		Replica audit.ReplicaID `json:"replica"`
		Role    string          `json:"role"`
		Seq     uint64          `json:"seq"`
		Chain   string          `json:"chain"`
		Root    string          `json:"root"`
	}
	var rows []row
	s.say("%-8s %-10s %8s  %-16s  %s", "replica", "role", "seq", "chain", "root")
	for i := range r.cluster.Len() {
		var at ordering.Position
		var root audit.Digest
		var failed error
		replica := r.cluster.Node(i).Replica(machine)
		if err := replica.Do(ctx, func(m *host.Machine) {
			// Of all the memory, not of what is known to have changed.
			if failed = m.Rehash(); failed == nil {
				at, root = m.Position(), m.Root()
			}
		}); err != nil || failed != nil {
			return fmt.Errorf("ask %s for its root: %w", r.cluster.Name(i), errors.Join(err, failed))
		}
		role := replica.Info().Phase.String()
		rows = append(rows, row{r.cluster.Name(i), role, uint64(at.Seq), at.Chain.String(), root.String()})
		s.say("%-8s %-10s %8d  %v  %v", r.cluster.Name(i), role, at.Seq, at.Chain, root)
		s.check(rows[i].Seq == rows[0].Seq && rows[i].Chain == rows[0].Chain && rows[i].Root == rows[0].Root,
			"%s differs from %s", rows[i].Replica, rows[0].Replica)
	}
	s.set("replicas", rows)
	return nil
}

// log asks the log for its bounds.
func (r *run) log(ctx context.Context) (ordering.State, error) {
	for i := range r.cluster.Len() {
		if n := r.cluster.Node(i); n != nil {
			return n.Replica(machine).LogState(ctx)
		}
	}
	return ordering.State{}, fmt.Errorf("no node runs")
}

func (r *run) replicaSeq(i int) ordering.Seq {
	n := r.cluster.Node(i)
	if n == nil || n.Replica(machine) == nil {
		return 0
	}
	return n.Replica(machine).Info().Seq
}

// caughtUp reports whether a replica votes and is at the end of the log.
func (r *run) caughtUp(ctx context.Context, i int) bool {
	n := r.cluster.Node(i)
	return n != nil && n.Replica(machine).Info().Phase == host.PhaseVoting && r.near(ctx, i)
}

// near reports whether a replica has applied about all that is ordered.
func (r *run) near(ctx context.Context, i int) bool {
	const slack = 50 // entries that a load adds while this is asked
	state, err := r.log(ctx)
	return err == nil && r.replicaSeq(i)+slack >= state.Last && r.replicaSeq(i) > 0
}

// awaitStored waits until that many replicas hold a durable checkpoint of the
// same seq, later than the one of the deploy.
func (r *run) awaitStored(ctx context.Context, replicas int) error {
	return await(ctx, "the checkpoint to be durable", func() bool {
		stored := make(map[ordering.Seq]int)
		for i := range r.cluster.Len() {
			for _, c := range r.cluster.Node(i).Replica(machine).Info().Stored {
				stored[c.Seq]++
			}
		}
		for seq, n := range stored {
			if seq > 1 && n >= replicas {
				return true
			}
		}
		return false
	})
}

// awaitCalls waits until a load has answered n more calls.
func (r *run) awaitCalls(ctx context.Context, l *load, n int64) error {
	target := l.answered() + n
	err := await(ctx, fmt.Sprintf("%d more calls", n), func() bool { return l.answered() >= target || l.err() != nil })
	if err == nil {
		err = l.err()
	}
	return err
}

// watch shows the progress of a load until stop is called.
func (r *run) watch(ctx context.Context, number int, name string, l *load, of int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.print.progress(number, name, fmt.Sprintf("%s of %s calls", count(l.answered()), count(of)))
			}
		}
	}()
	return func() { cancel(); <-done }
}
