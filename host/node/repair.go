package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/snapshot"
)

// askEvery is the pace at which a replica that waits for others asks again.
const askEvery = time.Second

// errNoState says that no state could be had now; it passes.
var errNoState = errors.New("no checkpoint that a majority of voters has stored")

// mend drives the repair of a diverged replica one step:
//
//	diverged  → asks for an ordered CHECKPOINT, applies up to it without voting
//	repairing → stands still there until the majority's root at that very seq is
//	            known, fetches the pages that differ, and votes again
func (r *Replica) mend() error {
	if r.phase != host.PhaseDiverged && r.phase != host.PhaseRepairing {
		return nil
	}
	if r.repairAt == (audit.Position{}) {
		r.askCheckpoint()
		return nil
	}
	r.setPhase(host.PhaseRepairing)
	at := r.repairAt
	agreed, ok := r.ledger.Judge(at, r.machine.Members().Majority())
	if !ok || len(r.donors(at, agreed)) == 0 {
		return r.askStored()
	}
	err := r.transfer(at, agreed, r.donors(at, agreed))
	if err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		r.logger.Warn("repair; trying the newest checkpoint", "seq", uint64(at.Seq), "err", err)
		if err := r.transferLatest(); err != nil {
			r.logger.Warn("repair; trying again", "err", err)
			r.sleep(tickEvery)
			return nil
		}
	}
	r.rejoin()
	return nil
}

// rejoin makes a repaired replica vote again.
func (r *Replica) rejoin() {
	r.repairAt = audit.Position{}
	r.ledger.Forget(r.id)
	delete(r.reported, r.id)
	r.phase = host.PhaseObserving
	r.takeRole()
	r.read()
	r.emit(Event{Kind: EventRejoined})
}

// donors are the replicas known to hold a state, without this one.
func (r *Replica) donors(at audit.Position, s audit.State) []audit.ReplicaID {
	var list []audit.ReplicaID
	for _, id := range r.ledger.Holders(at, s) {
		if id != r.id {
			list = append(list, id)
		}
	}
	return list
}

// askCheckpoint orders a CHECKPOINT, at most once every askEvery.
func (r *Replica) askCheckpoint() {
	if time.Since(r.asked) < askEvery {
		return
	}
	r.asked = time.Now()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		r.logger.Error("make session key", "err", err)
		return
	}
	c := host.Control{Kind: host.ControlCheckpoint, Number: 1, Session: host.Session{Client: host.ClientID(public), Opened: r.machine.Seq()}}
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		if _, err := r.log.get().Append(r.ctx, c.Sign(string(r.name), key)); err != nil {
			r.logger.Debug("ask for a checkpoint", "err", err)
		}
	}()
}

// askStored asks the others which checkpoints they hold: their records may
// have been lost on the way.
func (r *Replica) askStored() error {
	if time.Since(r.asked) < tickEvery {
		return nil
	}
	r.asked = time.Now()
	infos, err := r.infos()
	if err != nil {
		r.logger.Debug("ask for checkpoints", "err", err)
		return nil
	}
	r.learnStored(infos, r.machine.Members())
	return nil
}

// learnStored enters the checkpoints that voters say they hold.
func (r *Replica) learnStored(infos []host.Info, panel audit.Members) {
	for _, in := range protocol.OfVoters(infos, panel) {
		if in.Replica == r.id {
			continue
		}
		for _, s := range in.Stored {
			// A conflict is evidence elsewhere; here the first statement stands.
			_ = r.ledger.Add(audit.Record{
				Replica: in.Replica, Epoch: s.Epoch, Seq: s.Seq, Chain: s.Chain, Root: s.Root, Stored: true,
			})
		}
	}
}

// transferLatest takes the newest state that a majority of voters has stored.
// Where there is none it orders a CHECKPOINT and returns errNoState.
func (r *Replica) transferLatest() error {
	// Soon, since what they have stored may be too old a moment later.
	infos, err := r.gather(infoPatience, func(infos []host.Info) bool {
		panel, _, ok := host.Learn(infos, r.machine.Members())
		return ok && len(protocol.OfVoters(infos, panel)) >= panel.Majority()
	})
	if err != nil {
		return err
	}
	panel, _, ok := host.Learn(infos, r.machine.Members())
	if !ok {
		return fmt.Errorf("learn membership from %d replicas: no majority states the same", len(infos))
	}
	r.knowPanel(panel)
	r.learnStored(infos, panel)
	at, agreed, ok := r.ledger.Stored(panel.Majority())
	least := r.machine.Seq()
	if r.partial { // it is at nothing, and the journal begins where it is to be
		least = r.journal.Base().Seq
	}
	if !ok || at.Seq < least {
		r.askCheckpoint()
		return errNoState
	}
	return r.transfer(at, agreed, r.donors(at, agreed))
}

// restore takes the newest own checkpoint that is whole, if there is one. What
// is not whole is as good as not there: others have it.
func (r *Replica) restore() error {
	list, err := r.node.store.List(string(r.name))
	if err != nil {
		return fmt.Errorf("list checkpoints: %w", err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		err := r.restoreFrom(list[:i+1])
		if noMemory(err) {
			return err // the checkpoint is whole
		}
		if err != nil {
			r.logger.Error("restore checkpoint; trying an older one", "seq", uint64(list[i].Seq), "err", err)
			r.leaveRotten(err)
			r.machine.Close()
			r.machine = r.newMachine()
			continue
		}
		r.knowPanel(r.machine.Members())
		break
	}
	r.events.begin(r.machine.LastEvents())
	return nil
}

// restoreFrom takes the last of these checkpoints, oldest first, which are all that the replica has then.
func (r *Replica) restoreFrom(list []snapshot.Manifest) error {
	man := list[len(list)-1]
	if _, err := r.machine.Adopt(man); err != nil {
		return err
	}
	if err := r.restoreStored(man); err != nil {
		return err
	}
	root := r.machine.Root()
	if want := man.Root(); root != want {
		return fmt.Errorf("root is %v, want %v", root, want)
	}
	r.stored = nil
	for _, man := range list {
		r.stored = append(r.stored, host.Stored{Epoch: man.Epoch, Seq: man.Seq, Chain: man.Chain, Root: man.Root()})
	}
	return nil
}
