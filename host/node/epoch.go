package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"lockstep/audit/canonical"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/journal/durable"
)

// promise is what a replica must not forget about epochs: it is on disk before anybody is told.
type promise struct {
	_      struct{}       `cbor:",toarray"`
	Epoch  ordering.Epoch // whose log the replica reads
	Next   ordering.Epoch // it votes in no epoch below; at most Epoch where it has not stopped
	Reason string         // why it stopped
	// Left says that others went on without this replica, for which Next is their epoch: it makes no epoch, and states
	// nothing that one may be made of. Who was lost must not go on beside those that did, though they be a majority.
	Left bool
}

const promiseFormat canonical.Format = "LSp2"

func (p promise) stopped() bool { return p.Next > p.Epoch }

func (r *Replica) promisePath() string { return r.node.path("machines", string(r.name), "epoch") }

// loadPromise reads what the replica has promised. ok is false for one that never read a log.
func (r *Replica) loadPromise() (ok bool, err error) {
	b, err := os.ReadFile(r.promisePath())
	if errors.Is(err, fs.ErrNotExist) {
		r.promise = promise{Epoch: 1}
		r.promised.Store(&promise{Epoch: 1})
		return r.journal.Last().Seq > 0, nil
	}
	if err == nil {
		err = promiseFormat.Decode(b, &r.promise)
	}
	if err != nil {
		return false, fmt.Errorf("read promise: %w", err)
	}
	if last := r.journal.Last().Epoch; r.promise.stopped() && last >= r.promise.Next { // it was killed as it entered
		if err := r.savePromise(promise{Epoch: last, Next: last}); err != nil {
			return false, err
		}
	}
	p := r.promise
	r.promised.Store(&p)
	return true, nil
}

func (r *Replica) savePromise(p promise) error {
	if err := durable.WriteFile(r.promisePath(), promiseFormat.Encode(p)); err != nil {
		return fmt.Errorf("write promise: %w", err)
	}
	r.promise = p
	return nil
}

// openLog opens the log of the replica's epoch. It waits for one that has no leader, as after
// a crash of most of the cluster. One that does not exist is an error for a replica that is new;
// another one has lost it, and starts with that.
func (r *Replica) openLog(ctx context.Context) error {
	r.log.set(absent{})
	known, err := r.loadPromise()
	if err != nil || r.promise.stopped() {
		return err
	}
	if !known {
		r.promise.Epoch = r.discover()
	}
	for {
		log, err := r.node.opts.OpenLog(ctx, r.name, r.promise.Epoch)
		if err == nil {
			r.log.set(log)
			err = r.resume(log)
			if err == nil && !known {
				err = r.savePromise(r.promise)
			}
			return err
		}
		if breaks(err) {
			if known {
				return nil
			}
			return err
		}
		r.logger.Info("open log; trying again", "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(readPause):
		}
	}
}

// discover asks in which epoch the machine is: what most of those say that answer.
func (r *Replica) discover() ordering.Epoch {
	infos, err := r.infos()
	if err != nil {
		return 1
	}
	return protocol.EpochOf(infos)
}

// currentLog is the log of the epoch that the replica is in.
type currentLog struct {
	mu  sync.Mutex
	log ordering.Log
}

func (c *currentLog) get() ordering.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log == nil {
		return absent{}
	}
	return c.log
}

// set changes the log. Closing the old one ends what waits for it.
func (c *currentLog) set(log ordering.Log) {
	c.mu.Lock()
	old := c.log
	c.log = log
	c.mu.Unlock()
	if old != nil {
		_ = old.Close() // it is not written to any more
	}
}

// absent is the log of an epoch that has none.
type absent struct{}

func (absent) Append(context.Context, []byte) (ordering.Seq, error) { return 0, ordering.ErrNotFound }
func (absent) Read(context.Context, ordering.Seq) ([]ordering.Entry, error) {
	return nil, ordering.ErrNotFound
}
func (absent) Resume(ordering.Entry) {}
func (absent) State(context.Context) (ordering.State, error) {
	return ordering.State{}, ordering.ErrNotFound
}
func (absent) Truncate(context.Context, ordering.Seq) error { return ordering.ErrNotFound }
func (absent) Close() error                                 { return nil }

// breaks tells whether an error says that the log cannot be followed any more in its epoch.
func breaks(err error) bool {
	var broken *ordering.BreakError
	return errors.As(err, &broken) || errors.Is(err, ordering.ErrNotFound)
}
