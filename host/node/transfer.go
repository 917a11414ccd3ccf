package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/snapshot/transfer"
)

// transfer makes the machine be at a state that a majority has stated,
// fetching only what differs from what it has. After an error the machine is in
// no state at all, and must not go on until a transfer has ended well; what was
// fetched is kept, in memory for the next try, and on disk for the next start.
func (r *Replica) transfer(at audit.Position, want audit.State, donors []audit.ReplicaID) error {
	began := time.Now()
	from := make([]transfer.Donor, 0, len(donors))
	for _, id := range donors {
		from = append(from, transfer.Donor{Name: string(id), Subject: host.StateSubject(string(r.name), id)})
	}
	man, err := transfer.Manifest(r.ctx, r.node.opts.Conn, from, at.Epoch, at.Seq, want.Root)
	if err != nil {
		return err
	}
	r.partial = true
	// From here on the journal gets what is ordered, so that it is there to go on
	// with even if the log is cut behind a later checkpoint before this ends.
	if err := r.journalAt(ordering.Position{Epoch: man.Epoch, Seq: man.Seq, Chain: man.Chain}); err != nil {
		return err
	}
	r.reader.end()
	defer r.observe(r.ctx)()
	fresh, err := r.adopt(man, donors)
	if err != nil {
		return err
	}
	if !fresh { // what is wrong may be wrong without having been written
		if err := r.machine.Rehash(); err != nil {
			return err
		}
	}
	event := Event{Kind: EventTransferred, Root: want.Root, Size: man.Size, From: donors}
	if err := r.fetchPages(man, from, &event); err != nil {
		return err
	}
	if got := r.machine.Root(); got != want.Root {
		return fmt.Errorf("state at seq %d has root %v after transfer, want %v", at.Seq, got, want.Root)
	}
	r.partial = false
	r.knowPanel(r.machine.Members())
	r.queueSave(saveJob{r.machine.Checkpoint(), audit.Record{Epoch: at.Epoch, Seq: at.Seq, Chain: want.Chain, Root: want.Root}})
	event.Took = time.Since(began)
	r.emit(event)
	return nil
}

// maxObserved bounds the bytes of entries that are read while a state is fetched, or while those in the journal are applied.
const maxObserved = 1 << 30

// observe reads the log into the journal until what it returns is called, or ctx is done.
func (r *Replica) observe(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for size := 0; size < maxObserved && ctx.Err() == nil; {
			entries, err := r.next(ctx, r.journal.Last().Seq+1)
			for _, e := range entries {
				size += len(e.Data)
			}
			switch {
			case err == nil || ctx.Err() != nil:
			case final(err):
				r.logger.Info("the log is not read ahead any more", "err", err)
				return
			default:
				r.logger.Debug("read log", "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(readPause):
				}
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// fetchPages makes the memory that of a manifest which the machine has adopted.
func (r *Replica) fetchPages(man snapshot.Manifest, from []transfer.Donor, e *Event) error {
	patch := func(batch []snapshot.Page) error {
		return r.machine.Patch(snapshot.Delta{Size: man.Size, Pages: batch})
	}
	stash := r.openStash(man.Size, patch)
	stats, err := transfer.Fetch{
		Conn: r.node.opts.Conn, Donors: from, Want: man, Local: r.machine.Tree(), Stash: stash,
		Patch: func(batch []snapshot.Page) error {
			for _, p := range batch {
				e.Pages = append(e.Pages, p.Index)
			}
			return patch(batch)
		},
		OnDrop: func(d transfer.Donor, why error) {
			r.logger.Warn("donor is not asked any more", "donor", d.Name, "seq", uint64(man.Seq), "err", why)
			r.node.opts.OnEvent(Event{
				Kind: EventDropped, Machine: r.name, Replica: r.id, Epoch: man.Epoch, Seq: man.Seq,
				Other: audit.ReplicaID(d.Name), Err: why,
			})
		},
	}.Run(r.ctx)
	slices.Sort(e.Pages)
	e.Bytes = stats.Bytes + stats.Sent
	r.closeStash(stash, err == nil)
	return err
}

// openStash opens the stash of this replica and takes from it
// what an earlier start had fetched. A replica that has none goes without.
func (r *Replica) openStash(size uint64, patch func([]snapshot.Page) error) *transfer.Stash {
	stash, pages, err := transfer.OpenStash(r.stashPath(), size, patch)
	if err != nil {
		r.logger.Warn("transfer goes on without a stash", "err", err)
		return nil
	}
	if pages > 0 {
		r.logger.Info("took pages that were fetched before", "pages", pages)
	}
	return stash
}

func (r *Replica) closeStash(stash *transfer.Stash, ended bool) {
	if stash == nil {
		return
	}
	err := stash.Close()
	if ended {
		err = errors.Join(err, transfer.DropStash(r.stashPath()))
	}
	if err != nil {
		r.logger.Warn("stash of the transfer", "err", err)
	}
}

// stashPath is where pages are kept while a transfer is under way.
func (r *Replica) stashPath() string {
	return r.node.path("machines", string(r.name), "transfer")
}

// adopt puts the machine at a manifest's position, fetching its module first, from donors that run it,
// where it lacks it.
func (r *Replica) adopt(man snapshot.Manifest, donors []audit.ReplicaID) (fresh bool, err error) {
	for {
		fresh, err := r.machine.Adopt(man)
		var missing *MissingModuleError
		if !errors.As(err, &missing) {
			r.events.begin(r.machine.LastEvents())
			return fresh, err
		}
		if err := r.fetchModule(missing.Module, donors); err != nil {
			return false, err
		}
	}
}
