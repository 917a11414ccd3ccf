package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/metrics"
	"lockstep/ordering"
	"lockstep/ordering/journal"
	"lockstep/snapshot"
	"lockstep/wasmabi/instrument"
)

// Replica is one copy of a machine. All that changes it happens in its loop;
// other goroutines read status.
type Replica struct {
	node   *Node
	name   ordering.Name
	id     audit.ReplicaID
	key    ed25519.PrivateKey
	logger *slog.Logger
	meter  *metrics.Machine

	log     currentLog
	subs    []*nats.Subscription
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
	status  atomic.Pointer[host.Info]
	memory  atomic.Pointer[Memory]
	records chan audit.Record   // from other replicas
	saves   chan saveJob        // to the writer of checkpoints
	saved   chan host.Stored    // from it
	asks    chan func(*Replica) // run in the loop
	journal *journal.Journal
	outbox  outbox
	room    chan struct{}         // the journal has become durable further
	stall   atomic.Pointer[error] // why the journal cannot be written to
	broken  atomic.Pointer[Broken]
	queries chan query // from clients
	recent  recent
	answers answers
	events  events
	stands  chan standMessage // from other replicas
	saving  sync.Mutex        // a checkpoint is being written

	findings chan []byte // evidence from others
	evidence *evidence

	// Owned by the loop.
	machine  *host.Machine
	phase    host.Phase
	ledger   audit.Ledger
	reported map[audit.ReplicaID]bool       // replicas found to differ, until repaired
	panels   map[ordering.Seq]audit.Members // recent memberships, by the entry that made them
	reader   *reader
	repairAt audit.Position // where a diverged replica stands still to be compared
	quietTo  ordering.Seq   // entries up to here were answered before this start
	stored   []host.Stored  // own durable checkpoints, oldest first
	cutTo    atomic.Uint64  // the log was cut up to here: a majority has stored the same state
	retry    retry          // of a checkpoint that could not be saved
	asked    time.Time      // when a repair last asked for a CHECKPOINT
	ticker   ticker
	turns    turns
	fill     fill    // of the log since the last checkpoint
	waiting  []query // for entries that are not applied yet
	partial  bool    // a transfer began and has not ended well: the memory is no state

	published time.Time // when status was stored

	// Of epochs, see break.go.
	promise   promise
	promised  atomic.Pointer[promise] // the same, for others to read, once the journal has halted
	halted    time.Time               // when the replica stopped in its epoch; zero if it has not
	entered   time.Time               // when it entered its epoch
	raised    time.Time               // when it promised what it promises
	doubted   time.Time               // since when it complains of the log; zero if it does not
	lonely    time.Time               // since when no majority follows the log as it does; zero if one does
	tried     time.Time               // when it last tried to follow the log again
	sought    time.Time               // when it last asked whether others went on without it
	contested ordering.Seq            // where another one has another log; 0: nowhere
	told      time.Time               // when it last told where it stands
	hindrance string                  // why there is no next epoch yet
	hindered  atomic.Pointer[string]  // the same, for others to read
	pruned    atomic.Uint64           // logs of epochs before this one are deleted

	heardMu sync.Mutex
	heard   map[audit.ReplicaID]Heard // what other voters stated last, see recover.go
}

// Bounds of a replica's queues.
const (
	recordQueue     = 1024
	saveQueue       = 2
	maxPanels       = 64
	truncateTimeout = 5 * time.Second
	tickEvery       = 250 * time.Millisecond
	statusEvery     = 50 * time.Millisecond // at least, while entries are applied
)

type saveJob struct {
	checkpoint *snapshot.Checkpoint
	record     audit.Record // to sign and publish once it is durable
}

func startReplica(ctx context.Context, n *Node, name ordering.Name, key ed25519.PrivateKey) (*Replica, error) {
	r := &Replica{
		node: n, name: name, id: n.opts.Name, key: key, logger: n.opts.Logger.With("machine", string(name)),
		meter:   n.opts.Metrics.Machine(string(name)),
		records: make(chan audit.Record, recordQueue), saves: make(chan saveJob, saveQueue),
		saved: make(chan host.Stored, saveQueue), asks: make(chan func(*Replica)), queries: make(chan query, queryQueue),
		room: make(chan struct{}, 1), stands: make(chan standMessage, standQueue),
		panels: make(map[ordering.Seq]audit.Members), reported: make(map[audit.ReplicaID]bool),
		ticker: newTicker(), findings: make(chan []byte, evidenceQueue),
	}
	r.ctx, r.stop = context.WithCancel(n.ctx)
	r.outbox.send, r.outbox.bound = r.publish, r.recent.release
	r.machine = r.newMachine()
	var err error
	if r.evidence, err = openEvidence(r.evidencePath()); err == nil {
		err = r.restore()
	}
	if err == nil {
		err = r.openJournal()
	}
	if err == nil {
		err = r.openLog(ctx)
	}
	if _, deployed := r.machine.Module(); err == nil && !deployed {
		err = r.admit()
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.publishStatus()
	if err := r.subscribe(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.done.Add(2)
	go r.saveLoop()
	go r.run()
	return r, nil
}

// resume makes the log prove that it goes on from what the journal has.
func (r *Replica) resume(log ordering.Log) error {
	last, err := r.journal.Read(r.journal.Last().Seq, 1, 0)
	if errors.Is(err, journal.ErrNotHere) {
		return nil // nothing was read yet, or a state was transferred and nothing read since
	}
	if err == nil {
		log.Resume(last[0])
	}
	return err
}

func (r *Replica) newMachine() *host.Machine {
	m := host.New(string(r.name), instrument.Profile, r.load)
	m.SetImport(r.node.imported)
	return m
}

// close stops the loop and waits for it.
func (r *Replica) close() error {
	r.stop()
	var errs []error
	for _, s := range r.subs {
		if r.node.opts.Conn.IsConnected() {
			errs = append(errs, s.Unsubscribe())
		}
	}
	r.done.Wait()
	r.releaseSaves()
	r.machine.Close()
	r.node.budget.release(r.name)
	r.log.set(nil)
	if r.journal != nil {
		errs = append(errs, r.journal.Close())
	}
	return errors.Join(errs...)
}

// setPhase changes the phase, and says so.
func (r *Replica) setPhase(p host.Phase) {
	if r.phase != p {
		r.phase = p
		r.note()
		r.logger.Info("phase", "phase", p.String(), "seq", r.machine.Seq())
		r.emit(Event{Kind: EventPhase})
	}
}

// takeRole makes the phase follow the membership, unless the replica is found
// to differ from the majority. Before the machine has applied its epoch's opening it has none: that
// may make the replica no member.
func (r *Replica) takeRole() {
	if r.phase == host.PhaseDiverged || r.phase == host.PhaseRepairing || r.phase == host.PhaseBroken {
		return
	}
	if r.promise.Epoch > 1 && r.machine.Epoch() < r.promise.Epoch {
		r.setPhase(host.PhaseStarting)
		return
	}
	if _, voter := r.machine.Members().Voter(r.id); voter {
		r.setPhase(host.PhaseVoting)
	} else {
		r.setPhase(host.PhaseObserving)
	}
}

func (r *Replica) emit(e Event) {
	at := r.machine.Position()
	e.Machine, e.Replica = r.name, r.id
	if e.Seq == 0 {
		e.Epoch, e.Seq = at.Epoch, at.Seq
	}
	r.meter.Event(string(e.Kind))
	if e.Kind == EventTransferred {
		r.meter.Transferred(len(e.Pages), e.Bytes, e.Took)
	}
	r.node.opts.OnEvent(e)
}

// Do runs f in the replica's loop, between two entries, and waits for it.
func (r *Replica) Do(ctx context.Context, f func(*host.Machine)) error {
	ran := make(chan struct{})
	select {
	case r.asks <- func(r *Replica) { f(r.machine); close(ran) }:
		<-ran
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return errors.New("replica is stopped")
	}
}

// LogState tells the bounds of the machine's log.
func (r *Replica) LogState(ctx context.Context) (ordering.State, error) {
	return r.log.get().State(ctx)
}
