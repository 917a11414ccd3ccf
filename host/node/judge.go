package node

import (
	"lockstep/audit"
	"lockstep/host"
)

// judge takes an audit record, this replica's own or another's, and acts on
// what the majority says.
func (r *Replica) judge(record audit.Record) {
	panel, known := r.panels[record.Members]
	if !known || record.Machine != string(r.name) {
		return
	}
	key, voter := panel.Voter(record.Replica)
	if !voter || record.Verify(key) != nil {
		r.logger.Debug("drop audit record", "from", record.Replica, "seq", uint64(record.Seq))
		return
	}
	at := audit.Position{Epoch: record.Epoch, Seq: record.Seq}
	if e, ok := r.ledger.Contradiction(record); ok {
		r.convict(e, at, panel)
	}
	_ = r.ledger.Add(record) // of two that conflict the first stands
	for _, d := range r.ledger.Divergences(at, panel.Majority()) {
		if e, ok := r.ledger.Refutation(at, d.Replica, panel); ok {
			r.convict(e, at, panel)
		}
		r.diverged(d)
	}
	if agreed, ok := r.ledger.Judge(at, panel.Majority()); ok && agreed.Root == record.Root && record.Replica != r.id {
		delete(r.reported, record.Replica) // it is, or is again, with the majority
	}
	if at, _, ok := r.ledger.Stored(panel.Majority()); ok && at.Epoch == r.machine.Epoch() && at.Seq <= r.machine.Seq() {
		r.truncate(at.Seq)
	}
}

// diverged reports a replica that differs from the majority; if it is this
// one, it stops voting before it applies anything more.
func (r *Replica) diverged(d audit.Divergence) {
	if r.reported[d.Replica] {
		return
	}
	r.reported[d.Replica] = true
	r.logger.Warn("replica differs from the majority", "replica", d.Replica, "seq", uint64(d.At.Seq),
		"root", d.Stated.Root, "majority", d.Majority.Root)
	if d.Replica == r.id {
		r.setPhase(host.PhaseDiverged)
	}
	r.emit(Event{Kind: EventDiverged, Epoch: d.At.Epoch, Seq: d.At.Seq, Other: d.Replica})
}

// receiveRecord queues a record from the wire. Records that come faster than
// they are judged are dropped: each replica sends another at the next audit.
func (r *Replica) receiveRecord(data []byte) {
	var record audit.Record
	if err := audit.RecordFormat.Decode(data, &record); err != nil || record.Replica == r.id {
		return
	}
	select {
	case r.records <- record:
	default:
	}
}
