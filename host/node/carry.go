package node

import (
	"context"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// carryOut does in the world what a transition says, in the order of its
// fields.
func (r *Replica) carryOut(t *host.Transition) {
	if t.Members != nil {
		r.takeMembers(*t.Members)
	}
	if t.Opened != nil {
		r.takeRole()
	}
	r.note()
	if t.Reply != nil && t.Seq > r.quietTo && r.answersFor() {
		r.vote(t)
	}
	if len(t.Events) > 0 {
		r.emitEvents(t)
	}
	if t.Upgraded != nil {
		r.emit(Event{Kind: EventUpgraded, Epoch: t.Epoch, Seq: t.Seq, Module: *t.Upgraded})
	}
	if len(t.Log) > 0 {
		r.logger.Info("guest", "seq", uint64(t.Seq), "log", string(t.Log))
	}
	if t.Audited != nil {
		r.scrub()
		r.audit(t)
		r.checkInvariant(t)
	}
}

// answersFor tells whether the replica states outputs: if it votes, and as long as there is no machine. Then nobody
// does, and a DEPLOY that is refused is answered by those that it names: who asked knows them.
func (r *Replica) answersFor() bool {
	_, deployed := r.machine.Module()
	return r.phase == host.PhaseVoting || r.phase == host.PhaseObserving && !deployed
}

// publish sends and does not care: whoever misses a message asks again.
func (r *Replica) publish(subject string, data []byte) {
	if err := r.node.opts.Conn.Publish(subject, data); err != nil {
		r.logger.Debug("publish", "subject", subject, "err", err)
	}
}

func (r *Replica) takeMembers(m audit.Members) {
	r.knowPanel(m)
	r.takeRole()
	r.emit(Event{Kind: EventMembers})
}

// knowPanel keeps the membership for judging records that refer to it.
func (r *Replica) knowPanel(m audit.Members) {
	if len(r.panels) >= maxPanels {
		oldest := m.Seq
		for seq := range r.panels {
			oldest = min(oldest, seq)
		}
		delete(r.panels, oldest)
	}
	r.panels[m.Seq] = m
}

// scrub looks for memory that changed by itself. A replica that finds some does
// not wait for the others to find it wrong.
func (r *Replica) scrub() {
	rotten := r.machine.Scrub()
	if len(rotten) == 0 || r.reported[r.id] {
		return
	}
	r.reported[r.id] = true
	r.logger.Warn("memory changed without having been written", "pages", rotten)
	r.setPhase(host.PhaseDiverged)
	r.emit(Event{Kind: EventDiverged, Other: r.id})
}

// audit states this replica's root, and hands a checkpoint to be written.
func (r *Replica) audit(t *host.Transition) {
	record := audit.Record{
		Machine: string(r.name), Replica: r.id, Epoch: t.Epoch, Seq: t.Seq, Chain: t.Chain,
		Members: t.Audited.Members, Root: t.Audited.Root,
	}
	// What it read in epochs before it may have stated otherwise, where it came from another way: no word of its own is
	// to speak against it.
	if _, voter := r.machine.Members().Voter(r.id); voter && t.Epoch >= max(r.promise.Epoch, r.promise.Next) {
		signed := record
		signed.Sign(r.key)
		r.meter.Audited()
		r.outbox.put(t.Seq, host.AuditSubject(string(r.name)), audit.RecordFormat.Encode(signed))
		r.judge(signed)
	}
	if t.Checkpoint == nil {
		return
	}
	if r.phase == host.PhaseDiverged {
		// Every replica has, or will have, this very state: here to be compared.
		r.repairAt = audit.Position{Epoch: t.Epoch, Seq: t.Seq}
		t.Checkpoint.Memory.Release()
		return
	}
	r.queueSave(saveJob{t.Checkpoint, record})
}

// queueSave hands a checkpoint to the writer. While the writer is behind, the
// loop waits for it here, and goes on taking what it has done.
func (r *Replica) queueSave(job saveJob) {
	for {
		select {
		case r.saves <- job:
			return
		case s := <-r.saved:
			r.keep(s)
		case <-r.ctx.Done():
			job.checkpoint.Memory.Release()
			return
		}
	}
}

// saveLoop writes checkpoints while the machine goes on.
func (r *Replica) saveLoop() {
	defer r.done.Done()
	for {
		select {
		case <-r.ctx.Done():
			return
		case job := <-r.saves:
			began := time.Now()
			err := r.save(job)
			if r.ctx.Err() != nil {
				return
			}
			if err != nil {
				r.logger.Error("save checkpoint; the replica goes on with the one before", "seq", uint64(job.record.Seq), "err", err)
				r.saveFailed(err)
				continue
			}
			r.meter.Saved(time.Since(began))
			s := host.Stored{Epoch: job.record.Epoch, Seq: job.record.Seq, Chain: job.record.Chain, Root: job.record.Root}
			select {
			case r.saved <- s:
			case <-r.ctx.Done():
				return
			}
		}
	}
}

// saveFailed has the loop see to another checkpoint.
func (r *Replica) saveFailed(err error) {
	select {
	case r.asks <- func(r *Replica) { r.unsaved(err) }:
	case <-r.ctx.Done():
	}
}

// keep takes note that a checkpoint of this replica is durable, and says so.
func (r *Replica) keep(s host.Stored) {
	if at, err := r.journal.At(s.Seq); s.Seq > r.journal.Last().Seq || err == nil && at.Chain != s.Chain {
		return // of entries that were given up
	}
	r.retry = retry{}
	r.stored = append(r.stored, s)
	r.expire()
	r.forget(ordering.Seq(r.cutTo.Load()))
	r.emit(Event{Kind: EventCheckpointed, Epoch: s.Epoch, Seq: s.Seq, Root: s.Root})
	if _, voter := r.machine.Members().Voter(r.id); !voter || r.phase != host.PhaseVoting || s.Epoch < r.promise.Epoch {
		return // see audit; and nothing is cut by what was stored in an epoch before
	}
	record := audit.Record{
		Machine: string(r.name), Replica: r.id, Epoch: s.Epoch, Seq: s.Seq, Chain: s.Chain,
		Members: r.machine.Members().Seq, Root: s.Root, Stored: true,
	}
	record.Sign(r.key)
	r.publish(host.AuditSubject(string(r.name)), audit.RecordFormat.Encode(record))
	r.judge(record)
}

// expire forgets the checkpoints that are not kept in the store.
func (r *Replica) expire() {
	seqs := make([]ordering.Seq, len(r.stored))
	for i, s := range r.stored {
		seqs[i] = s.Seq
	}
	var kept []host.Stored
	for i, keeps := range r.retention().Keeps(seqs) {
		if keeps {
			kept = append(kept, r.stored[i])
		}
	}
	r.stored = kept
}

// truncate cuts the log up to a checkpoint that a majority holds.
func (r *Replica) truncate(to ordering.Seq) {
	if uint64(to) <= r.cutTo.Load() {
		return
	}
	r.cutTo.Store(uint64(to))
	r.forget(to)
	epoch := r.promise.Epoch
	prune := r.pruned.Load() < uint64(epoch) && r.machine.Epoch() == epoch
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		ctx, cancel := context.WithTimeout(r.ctx, truncateTimeout)
		defer cancel()
		if err := r.log.get().Truncate(ctx, to+1); err != nil {
			// Another replica does the same, and the next checkpoint tries again.
			r.logger.Warn("truncate log", "to", uint64(to), "err", err)
			return
		}
		if prune {
			if err := r.node.opts.Prune(ctx, r.name, epoch); err != nil {
				r.logger.Warn("delete logs of epochs before", "err", err) // and again at the next checkpoint
			} else {
				r.pruned.Store(uint64(epoch))
			}
		}
		r.node.opts.OnEvent(Event{Kind: EventTruncated, Machine: r.name, Replica: r.id, Epoch: epoch, Seq: to})
	}()
}
