package node

import (
	"time"

	"lockstep/host"
	"lockstep/host/metrics"
)

// count counts an entry and what became of its inputs.
func (r *Replica) count(e *host.Parsed, t *host.Transition, took time.Duration) {
	var tally metrics.Tally
	if t.Reply != nil {
		tally = metrics.Tally{Statuses: t.Reply.Statuses, Duplicates: t.Reply.Duplicates, Gas: t.Reply.Gas}
	}
	r.meter.Applied(len(e.Entry.Data), took, tally)
}

// Fetchers is how many fetch this replica's state.
func (r *Replica) Fetchers() int { return r.node.store.Fetchers(string(r.name)) }

// Queues are the lengths of what waits, by name.
func (r *Replica) Queues() map[string]int {
	return map[string]int{"records": len(r.records), "saves": len(r.saves), "queries": len(r.queries)}
}
