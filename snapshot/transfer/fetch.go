package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/nats-io/nats.go"

	"lockstep/snapshot"
)

// Fetch is a transfer of one state. All but Stash and OnDrop are required.
type Fetch struct {
	Conn   *nats.Conn
	Donors []Donor
	Want   snapshot.Manifest
	// Local is the tree of what there is, as large as what is wanted. Only its
	// state when Run starts counts.
	Local *snapshot.Tree
	// Patch takes pages that arrived and are right, one call at a time. It must
	// not keep the bytes.
	Patch func([]snapshot.Page) error
	// Stash keeps what arrives.
	Stash *Stash
	// OnDrop is told of each donor that is not asked any more, and why.
	OnDrop func(Donor, error)
}

// Stats is what a transfer cost.
type Stats struct {
	Pages   int      // that differed and were fetched or filled
	Nodes   int      // of the tree
	Bytes   uint64   // received, as payload of messages
	Sent    uint64   // in requests
	Dropped []string // donors that gave wrong bytes or none, in the order they were dropped
}

// ErrNoDonor says that no donor is left to ask.
var ErrNoDonor = errors.New("no donor is left")

// Run walks the tree of the wanted state against the local one and fetches the
// pages that differ. Donors share the work; one that gives wrong bytes or none
// is dropped, and the others get its questions. The state is whole when Run
// returns nil; after an error, what has been patched is right and another Run
// goes on from there.
func (f Fetch) Run(ctx context.Context) (Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	view := f.Local.View()
	r := &run{Fetch: f, holder: rand.Uint64(), local: view, walk: snapshot.NewWalk(view, f.Want.Pages, f.Want.Size)}
	r.idle = sync.NewCond(&r.mu)
	defer context.AfterFunc(ctx, r.idle.Broadcast)()
	var work sync.WaitGroup
	for _, d := range f.Donors {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := &donor{Donor: d, drop: cancel}
		for range perDonor {
			work.Go(func() { r.serve(ctx, w) })
		}
	}
	work.Wait()
	f.Stash.flush()
	switch {
	case r.err != nil:
		return r.stats, r.err
	case ctx.Err() != nil:
		return r.stats, ctx.Err()
	case !r.walk.Done() || len(r.again) > 0:
		return r.stats, fmt.Errorf("fetch state at seq %d: %w: %w", f.Want.Seq, ErrNoDonor, errors.Join(r.faults...))
	}
	// They need not keep the checkpoint any more. One that does not hear it lets go after HoldFor.
	tell(r.Conn, r.Donors, request{Kind: kindRelease, Epoch: r.Want.Epoch, Seq: r.Want.Seq, Holder: r.holder})
	return r.stats, nil
}

// perDonor is the number of requests under way with one donor: one that it
// works on, some that travel, and one that is checked here.
const perDonor = 4

// pagesAsked is the number of pages that are asked for at once: so few that what is under way stays in
// the processor's cache.
const pagesAsked = maxRefs / 2

// run shares one walk between workers, each bound to a donor.
type run struct {
	Fetch
	holder  uint64
	local   *snapshot.TreeView
	patches sync.Mutex // held during Patch; never taken with mu held

	mu     sync.Mutex
	idle   *sync.Cond // work was given back, or has ended
	walk   *snapshot.Walk
	again  []snapshot.Ref // pages that a donor did not give
	busy   int            // workers with a question under way
	stats  Stats
	faults []error
	err    error // not a donor's: the end
}

// donor is one donor's workers' common state; dropped is guarded by run.mu.
type donor struct {
	Donor
	drop    context.CancelFunc
	dropped bool
}

// question is what one worker asks next: nodes or pages.
type question struct {
	nodes []snapshot.Ref
	pages []snapshot.Ref
}

// next waits for a question; ok is false when there is nothing more to ask.
func (r *run) next(ctx context.Context) (q question, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ctx.Err() == nil && r.err == nil {
		if n := min(len(r.again), pagesAsked); n > 0 {
			q.pages, r.again = r.again[:n:n], r.again[n:]
		} else if q.pages = r.walk.Pages(pagesAsked); len(q.pages) == 0 {
			q.nodes = r.walk.Nodes(maxRefs)
		}
		if len(q.pages)+len(q.nodes) > 0 {
			r.busy++
			return q, true
		}
		if r.busy == 0 {
			return q, false
		}
		r.idle.Wait()
	}
	return q, false
}

// serve asks one donor until all is done or the donor is at fault.
func (r *run) serve(ctx context.Context, d *donor) {
	for {
		q, ok := r.next(ctx)
		if !ok {
			return
		}
		err := r.step(ctx, d, q)
		if err != nil && ctx.Err() == nil && !r.Conn.IsConnected() {
			err = awaitConn(ctx, r.Conn)
		}
		if r.done(ctx, d, err) {
			return
		}
	}
}

// done ends a question. It reports whether the donor is not to be asked again.
func (r *run) done(ctx context.Context, d *donor, err error) bool {
	r.mu.Lock()
	r.busy--
	r.idle.Broadcast()
	news := err != nil && ctx.Err() == nil && !d.dropped
	if news {
		d.dropped = true
		r.faults = append(r.faults, fmt.Errorf("from %s: %w", d.Name, err))
		r.stats.Dropped = append(r.stats.Dropped, d.Name)
	}
	r.mu.Unlock()
	if news {
		d.drop()
		if r.OnDrop != nil {
			r.OnDrop(d.Donor, err)
		}
	}
	return err != nil || ctx.Err() != nil
}

// ask asks for parts. It returns at most as many items, and at least one.
func (r *run) ask(ctx context.Context, d *donor, parts []snapshot.Ref, have []byte) ([][]byte, error) {
	q := request{Kind: kindParts, Epoch: r.Want.Epoch, Seq: r.Want.Seq, Holder: r.holder, Parts: parts, Have: have}
	a, c, err := ask(ctx, r.Conn, d.Subject, q)
	r.mu.Lock()
	r.stats.Bytes += uint64(c.received)
	r.stats.Sent += uint64(c.sent)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if len(a.Items) == 0 || len(a.Items) > len(parts) {
		return nil, fmt.Errorf("reply has %d items, want %d", len(a.Items), len(parts))
	}
	return a.Items, nil
}
