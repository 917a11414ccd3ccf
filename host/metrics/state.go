package metrics

import "github.com/prometheus/client_golang/prometheus"

// State is where a replica stands when it is asked.
type State struct {
	Machine  string
	Phase    string
	Seq      uint64
	Stored   uint64         // seq of the newest durable checkpoint
	Queues   map[string]int // lengths, by name
	Fetchers int
	LogKnown bool // the three below are known
	LogFirst uint64
	LogLast  uint64
	LogBytes uint64
	Stalled  bool // votes wait for the disk
	Broken   bool // the guest's invariant does not hold
}

// Phases are all that a replica can be in.
var phases = []string{"starting", "observing", "voting", "diverged", "repairing", "stopped", "broken"}

// Watch adds gauges of what states returns each time that somebody looks.
func (n *Node) Watch(states func() []State) {
	n.registry.MustRegister(&watcher{states})
}

type watcher struct{ states func() []State }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lockstep_"+name, help, append([]string{"machine"}, labels...), nil)
}

var (
	phaseGauge   = gauge("phase", "1 for the phase that the replica is in, by phase: starting, observing, voting, diverged, repairing, stopped or broken.", "phase")
	seqGauge     = gauge("seq", "Last entry applied.")
	storedGauge  = gauge("checkpoint_seq", "Seq of the newest durable checkpoint.")
	queueGauge   = gauge("queue_length", "Length of a queue, by queue: records, saves or queries.", "queue")
	fetcherGauge = gauge("transfer_fetchers", "Others that fetch the state from the replica: those that hold a checkpoint.")
	firstGauge   = gauge("log_first_seq", "First entry that the log still has.")
	lastGauge    = gauge("log_last_seq", "Last entry of the log.")
	bytesGauge   = gauge("log_bytes", "Bytes of the log on each of its servers.")
	lagGauge     = gauge("lag_entries", "Entries of the log that the replica has not applied.")
	brokenGauge  = gauge("invariant_broken", "1 while the guest says at audits that its state is not as it must be.")
	stalledGauge = gauge("stalled", "1 while votes wait because the replica's own entry log cannot be written to.")
)

func gauges() []*prometheus.Desc {
	return []*prometheus.Desc{phaseGauge, seqGauge, storedGauge, queueGauge, fetcherGauge, firstGauge, lastGauge, bytesGauge, lagGauge, stalledGauge, brokenGauge}
}

// Describe is prometheus.Collector's.
func (w *watcher) Describe(to chan<- *prometheus.Desc) {
	for _, d := range gauges() {
		to <- d
	}
}

// Collect is prometheus.Collector's.
func (w *watcher) Collect(to chan<- prometheus.Metric) {
	for _, s := range w.states() {
		set := func(d *prometheus.Desc, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Machine}, labels...)...)
		}
		for _, p := range phases {
			set(phaseGauge, truth(p == s.Phase), p)
		}
		set(seqGauge, float64(s.Seq))
		set(storedGauge, float64(s.Stored))
		set(stalledGauge, truth(s.Stalled))
		set(brokenGauge, truth(s.Broken))
		set(fetcherGauge, float64(s.Fetchers))
		for name, n := range s.Queues {
			set(queueGauge, float64(n), name)
		}
		if s.LogKnown {
			set(firstGauge, float64(s.LogFirst))
			set(lastGauge, float64(s.LogLast))
			set(bytesGauge, float64(s.LogBytes))
			set(lagGauge, float64(s.LogLast-min(s.Seq, s.LogLast)))
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
