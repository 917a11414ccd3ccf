// Package metrics counts what a node does, for Prometheus. docs/metrics.md
// documents every name, and a test compares it with this package.
//
// A nil *Node, and the nil *Machine that it gives, count nothing.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep/wasmabi"
)

// Node holds the metrics of one node.
type Node struct {
	registry *prometheus.Registry
	m        vectors
}

// vectors are the metrics, by machine.
type vectors struct {
	read, applied, entryBytes, inputs, duplicates, gas, votes, audits, events, transferBytes, transferPages, given, journalBytes, journalEntries, queries, busy *prometheus.CounterVec
	apply, batch, fsync, save, transfer, query                                                                                                                  *prometheus.HistogramVec
}

// New returns metrics of a node, with those of the Go runtime and the process.
func New() *Node {
	n := &Node{registry: prometheus.NewRegistry(), m: newVectors()}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.registry.MustRegister(n.m.all()...)
	return n
}

func newVectors() vectors {
	count := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lockstep_" + name, Help: help}, append([]string{"machine"}, labels...))
	}
	measure := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lockstep_" + name, Help: help, Buckets: buckets}, []string{"machine"})
	}
	fast := prometheus.ExponentialBuckets(10e-6, 4, 10) // 10 µs to 2.6 s
	slow := prometheus.ExponentialBuckets(1e-3, 4, 10)  // 1 ms to 262 s
	return vectors{
		read:           count("entries_read_total", "Entries read from the log."),
		applied:        count("entries_applied_total", "Entries applied to the machine."),
		entryBytes:     count("entry_bytes_total", "Bytes of the entries applied."),
		inputs:         count("inputs_total", "Inputs answered, by status: ok, rejected, trapped, out of gas or refused.", "status"),
		duplicates:     count("inputs_duplicate_total", "Inputs that had been applied before and were answered from the session's window."),
		gas:            count("gas_total", "Gas that guests used."),
		votes:          count("votes_total", "Signed statements of outputs made."),
		audits:         count("audits_total", "Audit records made: statements of the root of the whole state."),
		events:         count("events_total", "What happened to the replica, by kind: see host/node.EventKind. diverged is the one to alarm on.", "kind"),
		transferBytes:  count("transfer_bytes_total", "Bytes received in transfers of state, tree traffic included."),
		transferPages:  count("transfer_pages_total", "Pages that differed in transfers of state."),
		given:          count("transfer_given_bytes_total", "Bytes sent to others that fetch the state or the module."),
		journalBytes:   count("journal_bytes_total", "Bytes written to the replica's own entry log."),
		journalEntries: count("journal_entries_total", "Entries written to the replica's own entry log."),
		queries:        count("queries_total", "Queries run, by status as inputs have it; each is undone.", "status"),
		busy:           count("queries_busy_total", "Questions that were answered with busy, since too many waited."),
		apply:          measure("apply_seconds", "Time to apply one entry, its commit included.", fast),
		batch:          measure("entry_inputs", "Inputs in one entry.", prometheus.ExponentialBuckets(1, 2, 12)),
		fsync:          measure("journal_sync_seconds", "Time to write and fsync what had gathered for the replica's own entry log.", fast),
		save:           measure("checkpoint_save_seconds", "Time to make a checkpoint durable.", slow),
		transfer:       measure("transfer_seconds", "Time that a transfer of state took.", slow),
		query:          measure("query_seconds", "Time to run the queries of one question.", fast),
	}
}

func (v *vectors) all() []prometheus.Collector {
	return []prometheus.Collector{
		v.read, v.applied, v.entryBytes, v.inputs, v.duplicates, v.gas, v.votes, v.audits, v.events, v.transferBytes, v.transferPages,
		v.given, v.journalBytes, v.journalEntries, v.queries, v.busy, v.apply, v.batch, v.fsync, v.save, v.transfer, v.query,
	}
}

// Handler serves the metrics.
func (n *Node) Handler() http.Handler {
	return promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Machine returns the metrics of one machine. Those of a machine are few: their
// number does not depend on what clients or guests do.
func (n *Node) Machine(name string) *Machine {
	if n == nil {
		return nil
	}
	v := &n.m
	m := &Machine{
		read: v.read.WithLabelValues(name), applied: v.applied.WithLabelValues(name), entryBytes: v.entryBytes.WithLabelValues(name),
		duplicates: v.duplicates.WithLabelValues(name), gas: v.gas.WithLabelValues(name), votes: v.votes.WithLabelValues(name),
		audits: v.audits.WithLabelValues(name), transferBytes: v.transferBytes.WithLabelValues(name), transferPages: v.transferPages.WithLabelValues(name),
		journalBytes: v.journalBytes.WithLabelValues(name), journalEntries: v.journalEntries.WithLabelValues(name),
		apply: v.apply.WithLabelValues(name), batch: v.batch.WithLabelValues(name), fsync: v.fsync.WithLabelValues(name),
		save: v.save.WithLabelValues(name), transfer: v.transfer.WithLabelValues(name),
		given: v.given.WithLabelValues(name), busy: v.busy.WithLabelValues(name), query: v.query.WithLabelValues(name),
		events: v.events.MustCurryWith(prometheus.Labels{"machine": name}),
	}
	for s := range m.inputs {
		m.inputs[s] = v.inputs.WithLabelValues(name, wasmabi.Status(s).String())
		m.queries[s] = v.queries.WithLabelValues(name, wasmabi.Status(s).String())
	}
	m.events.WithLabelValues("evidence")
	m.events.WithLabelValues("diverged") // so that it can be alarmed on before it happens
	return m
}

// Machine counts what a replica of one machine does.
type Machine struct {
	read, applied, entryBytes, duplicates, gas, votes, audits, busy   prometheus.Counter
	transferBytes, transferPages, given, journalBytes, journalEntries prometheus.Counter
	apply, batch, fsync, save, transfer, query                        prometheus.Observer
	inputs, queries                                                   [wasmabi.Refused + 1]prometheus.Counter
	events                                                            *prometheus.CounterVec
}

// Read counts entries that came from the log.
func (m *Machine) Read(entries int) {
	if m != nil {
		m.read.Add(float64(entries))
	}
}

// Tally is what became of the inputs of one entry.
type Tally struct {
	Statuses   [wasmabi.Refused + 1]uint32 // number of inputs by status
	Duplicates uint32                      // among them
	Gas        uint64
}

// Applied counts an entry of a size, and what became of its inputs.
func (m *Machine) Applied(size int, took time.Duration, t Tally) {
	if m == nil {
		return
	}
	m.applied.Inc()
	m.entryBytes.Add(float64(size))
	m.apply.Observe(took.Seconds())
	total := uint32(0)
	for s, n := range t.Statuses {
		if n > 0 {
			m.inputs[s].Add(float64(n))
		}
		total += n
	}
	if total > 0 {
		m.batch.Observe(float64(total))
		m.duplicates.Add(float64(t.Duplicates))
		m.gas.Add(float64(t.Gas))
	}
}

// Queried counts a query that was run.
func (m *Machine) Queried(s wasmabi.Status) {
	if m != nil {
		m.queries[s].Inc()
	}
}

// Answered counts a question whose queries were run.
func (m *Machine) Answered(took time.Duration) {
	if m != nil {
		m.query.Observe(took.Seconds())
	}
}

// Busy counts a question that was answered with busy.
func (m *Machine) Busy() {
	if m != nil {
		m.busy.Inc()
	}
}

// Voted counts a vote.
func (m *Machine) Voted() {
	if m != nil {
		m.votes.Inc()
	}
}

// Audited counts an audit record.
func (m *Machine) Audited() {
	if m != nil {
		m.audits.Inc()
	}
}

// Event counts what happened, by kind.
func (m *Machine) Event(kind string) {
	if m != nil {
		m.events.WithLabelValues(kind).Inc()
	}
}

// Transferred counts a transfer of state.
func (m *Machine) Transferred(pages int, bytes uint64, took time.Duration) {
	if m != nil {
		m.transferPages.Add(float64(pages))
		m.transferBytes.Add(float64(bytes))
		m.transfer.Observe(took.Seconds())
	}
}

// Given counts bytes that were sent to who fetches the state.
func (m *Machine) Given(bytes int) {
	if m != nil {
		m.given.Add(float64(bytes))
	}
}

// Saved counts a checkpoint that became durable.
func (m *Machine) Saved(took time.Duration) {
	if m != nil {
		m.save.Observe(took.Seconds())
	}
}

// Synced counts entries that became durable in the replica's own log.
func (m *Machine) Synced(entries int, bytes int64, took time.Duration) {
	if m != nil {
		m.journalEntries.Add(float64(entries))
		m.journalBytes.Add(float64(bytes))
		m.fsync.Observe(took.Seconds())
	}
}
