package daemon

import (
	"context"
	"sync"
	"time"

	"lockstep/host/metrics"
	"lockstep/host/node"
	"lockstep/ordering"
)

// states is where the node's replicas stand, for gauges.
func (d *daemon) states() []metrics.State {
	var list []metrics.State
	for _, name := range d.node.Machines() {
		r := d.node.Replica(name)
		if r == nil {
			continue
		}
		in := r.Info()
		s := metrics.State{
			Machine: string(name), Phase: in.Phase.String(), Seq: uint64(in.Seq), Queues: r.Queues(), Fetchers: r.Fetchers(), Stalled: r.Stalled() != nil, Broken: r.Broken() != nil,
		}
		if last := len(in.Stored) - 1; last >= 0 {
			s.Stored = uint64(in.Stored[last].Seq)
		}
		if log, ok := d.logs.get(name); ok {
			s.LogKnown, s.LogFirst, s.LogLast, s.LogBytes = true, uint64(log.First), max(uint64(log.Last), s.Seq), log.Bytes
		}
		list = append(list, s)
	}
	return list
}

// logStates are the bounds of logs as they were some seconds ago: asking takes a
// round trip for each, which a scrape must not wait for.
type logStates struct {
	mu    sync.Mutex
	known map[ordering.Name]ordering.State
}

// logEvery is how often the bounds of logs are asked for.
const logEvery = 5 * time.Second

// run asks until ctx ends.
func (l *logStates) run(ctx context.Context, n *node.Node) {
	l.known = make(map[ordering.Name]ordering.State)
	go func() {
		tick := time.NewTicker(logEvery)
		defer tick.Stop()
		for {
			for _, name := range n.Machines() {
				l.ask(ctx, name, n.Replica(name))
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

func (l *logStates) ask(ctx context.Context, name ordering.Name, r *node.Replica) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateWait)
	defer cancel()
	state, err := r.LogState(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		delete(l.known, name) // unknown is not what it was
		return
	}
	l.known[name] = state
}

func (l *logStates) get(name ordering.Name) (ordering.State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.known[name]
	return s, ok
}
