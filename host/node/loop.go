package node

import (
	"errors"
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// run is the replica's loop.
func (r *Replica) run() {
	defer r.done.Done()
	err := r.loop()
	if err != nil && r.ctx.Err() == nil {
		r.logger.Error("replica stopped", "err", err)
		r.setPhase(host.PhaseStopped)
		r.emit(Event{Kind: EventStopped, Err: err})
	}
	r.publishStatus()
}

func (r *Replica) loop() error {
	err := r.begin()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	defer r.ticker.alarm.Stop()
	for {
		if breaks(err) {
			err = r.doubt(err.Error())
		}
		if errors.Is(err, epochs.ErrNoOpening) {
			err = r.disown(err)
		}
		if err != nil {
			return err
		}
		r.publishStatus()
		r.wind()
		entries := r.reader.batches()
		if r.repairAt != (audit.Position{}) {
			entries = nil // stands still until it can be compared
		}
		select {
		case <-r.ctx.Done():
			return nil
		case batch := <-entries:
			err = r.follow(batch)
		case record := <-r.records:
			r.judge(record)
		case s := <-r.saved:
			r.keep(s)
		case ask := <-r.asks:
			ask(r)
		case m := <-r.stands:
			err = r.hearStand(m)
		case <-r.ticker.alarm.C:
			r.tick()
		case q := <-r.queryTurn(entries):
			r.answerQuery(q)
		case now := <-tick.C:
			r.resave()
			r.recent.expire(now)
			r.tellStand(now)
			r.hearEvidence()
			if err = r.hearStands(); err == nil {
				err = r.renew()
			}
		}
		if err == nil {
			err = r.mend()
		}
	}
}

// begin follows the log, or waits for the next epoch where the replica had stopped.
func (r *Replica) begin() error {
	r.entered = time.Now()
	if r.promise.stopped() {
		return r.halt(r.promise.Next, r.promise.Reason)
	}
	if next := r.leftAt(); next > r.promise.Epoch { // before it votes beside them
		return r.leave(next, wentOn)
	}
	for r.log.get() == (absent{}) && time.Since(r.entered) < r.node.opts.ConfirmBreak {
		// It was not found, which servers that have just started may say too.
		log, err := r.node.opts.OpenLog(r.ctx, r.name, r.promise.Epoch)
		if err == nil {
			r.log.set(log)
			err = r.resume(log)
		}
		if err != nil && !errors.Is(err, ordering.ErrNotFound) || !r.sleep(tickEvery) {
			return err
		}
	}
	return r.position()
}

// position finds where to read on: after the machine's last entry, if the log
// still has what follows, or after a state that others give.
func (r *Replica) position() error {
	for {
		state, err := r.log.get().State(r.ctx)
		if err != nil && !breaks(err) && !r.partial && r.journal.Durable().Seq > 0 && r.ctx.Err() == nil {
			// A log without a leader, it may be for long: what the journal has needs none, and others are to be heard.
			r.logger.Warn("log does not answer; going on from the journal", "err", err)
			r.read()
			r.takeRole()
			return nil
		}
		if err == nil && (r.partial || state.First > max(r.machine.Seq(), r.journal.Last().Seq)+1) {
			err = r.transferLatest()
		}
		if err == nil {
			r.quietTo = max(r.quietTo, state.Last)
			r.fill.bound = state.MaxBytes
			r.read()
			r.takeRole()
			return nil
		}
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if breaks(err) || noMemory(err) {
			return err
		}
		r.logger.Warn("find position in the log; trying again", "err", err)
		if !r.sleep(tickEvery) {
			return r.ctx.Err()
		}
	}
}

// sleep waits unless the replica is stopped first.
func (r *Replica) sleep(d time.Duration) bool {
	select {
	case <-r.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// follow applies what the reader brought.
func (r *Replica) follow(b readBatch) error {
	switch {
	case errors.Is(b.err, ordering.ErrTruncated):
		return r.position()
	case b.err != nil:
		return fmt.Errorf("read log: %w", b.err)
	}
	for _, e := range b.entries {
		began := time.Now()
		t, err := r.apply(e)
		if errors.Is(err, errMoved) {
			return r.position()
		}
		if err != nil {
			return err
		}
		r.count(e, t, time.Since(began))
		r.relieve(&e.Entry, t)
		r.carryOut(t)
		r.turns.applied(time.Since(began))
		if time.Since(r.published) > statusEvery {
			r.publishStatus() // a batch may take long, and others want to know how far this replica is
		}
		r.runWaiting(began)
		r.serveQueries()
		if r.repairAt != (audit.Position{}) {
			r.read() // the rest of the batch is read again afterwards
			return nil
		}
	}
	return nil
}

// apply runs one entry, and waits for its module as long as it takes: a
// majority holds it, so that somebody will give it.
func (r *Replica) apply(e *host.Parsed) (*host.Transition, error) {
	for {
		t, err := r.machine.ApplyParsed(e)
		var missing *MissingModuleError
		var absent *MissingImportError
		if errors.As(err, &absent) {
			return nil, r.skipImport(absent)
		}
		if !errors.As(err, &missing) {
			return t, err
		}
		from, err := r.holders()
		if err == nil {
			err = r.fetchModule(missing.Module, from)
		}
		if err != nil {
			r.logger.Warn("fetch module; trying again", "module", missing.Module, "err", err)
			if !r.sleep(tickEvery) {
				return nil, r.ctx.Err()
			}
		}
	}
}
