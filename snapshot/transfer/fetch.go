package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Donor is a replica that can be asked.
type Donor struct {
	Name    string
	Subject string
}

// Stats is what a transfer cost.
type Stats struct {
	Pages   int      // that differed and were fetched or filled
	Nodes   int      // of the tree
	Bytes   uint64   // received, as they came over the wire
	Dropped []string // donors that gave wrong bytes or none
}

// ErrNoDonor says that no donor is left to ask.
var ErrNoDonor = errors.New("no donor is left")

// Manifest fetches the manifest of the checkpoint at a seq from the first donor
// that gives the one with the root.
func Manifest(ctx context.Context, conn *nats.Conn, donors []Donor, epoch ordering.Epoch, seq ordering.Seq, root audit.Digest) (snapshot.Manifest, error) {
	errs := []error{fmt.Errorf("fetch manifest at seq %d", seq)}
	for _, d := range donors {
		r, _, err := ask(ctx, conn, d.Subject, request{Kind: kindManifest, Epoch: epoch, Seq: seq})
		if err == nil && len(r.Items) != 1 {
			err = fmt.Errorf("reply has %d items, want 1", len(r.Items))
		}
		var man snapshot.Manifest
		if err == nil {
			man, err = snapshot.DecodeManifest(r.Items[0])
		}
		if err == nil && man.Root() != root {
			err = snapshot.ErrWrongBytes
		}
		if err == nil {
			return man, nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", d.Name, err))
	}
	return snapshot.Manifest{}, errors.Join(errs...)
}

// Pages walks the tree of a state against the local one and fetches the pages
// that differ, which it hands to patch in batches, one call at a time. Donors
// share the work; one that gives wrong bytes or none is dropped. The state is
// whole when Pages returns nil; after an error, what has been patched is right
// and a next try goes on from there.
func Pages(ctx context.Context, conn *nats.Conn, donors []Donor, local *snapshot.Tree, man snapshot.Manifest, patch func([]snapshot.Page) error) (Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &fetcher{
		conn: conn, patch: patch,
		walk: snapshot.NewWalk(local.View(), man.Pages, man.Size),
	}
	f.idle = sync.NewCond(&f.mu)
	defer context.AfterFunc(ctx, f.idle.Broadcast)()
	var work sync.WaitGroup
	f.donors = len(donors) * perDonor
	for _, d := range donors {
		for range perDonor {
			work.Go(func() { f.serve(ctx, d) })
		}
	}
	work.Wait()
	switch {
	case f.err != nil:
		return f.stats, f.err
	case ctx.Err() != nil:
		return f.stats, ctx.Err()
	case !f.walk.Done() || len(f.again) > 0:
		return f.stats, fmt.Errorf("fetch state at seq %d: %w: %w", man.Seq, ErrNoDonor, errors.Join(f.faults...))
	}
	return f.stats, nil
}

// perDonor is the number of requests under way with one donor: one that it
// works on and one that travels.
const perDonor = 2

// fetcher shares one walk between workers, each bound to a donor.
type fetcher struct {
	conn  *nats.Conn
	patch func([]snapshot.Page) error

	mu     sync.Mutex
	idle   *sync.Cond // work was given back, or has ended
	walk   *snapshot.Walk
	again  []snapshot.Ref // pages that a donor did not give
	busy   int            // workers with a question under way
	donors int            // workers that are left
	stats  Stats
	faults []error
	err    error
}

// question is what one worker asks next: nodes or pages.
type question struct {
	nodes []snapshot.Ref
	pages []snapshot.Ref
}

// next waits for a question; ok is false when there is nothing more to ask.
func (f *fetcher) next(ctx context.Context) (q question, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ctx.Err() == nil && f.err == nil {
		if n := min(len(f.again), maxRefs); n > 0 {
			q.pages, f.again = f.again[:n:n], f.again[n:]
		} else if q.pages = f.walk.Pages(maxRefs); len(q.pages) == 0 {
			q.nodes = f.walk.Nodes(maxRefs)
		}
		if len(q.pages)+len(q.nodes) > 0 {
			f.busy++
			return q, true
		}
		if f.busy == 0 {
			return q, false
		}
		f.idle.Wait()
	}
	return q, false
}

// serve asks one donor until all is done or the donor is at fault.
func (f *fetcher) serve(ctx context.Context, d Donor) {
	for {
		q, ok := f.next(ctx)
		if !ok {
			return
		}
		err := f.step(ctx, d, q)
		f.mu.Lock()
		f.busy--
		f.idle.Broadcast()
		if err != nil {
			f.faults = append(f.faults, fmt.Errorf("from %s: %w", d.Name, err))
			f.stats.Dropped = append(f.stats.Dropped, d.Name)
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// step asks one question. Its error is the donor's; what is unanswered is open
// again.
func (f *fetcher) step(ctx context.Context, d Donor, q question) error {
	if len(q.nodes) > 0 {
		return f.stepNodes(ctx, d, q.nodes)
	}
	return f.stepPages(ctx, d, q.pages)
}

func (f *fetcher) stepNodes(ctx context.Context, d Donor, nodes []snapshot.Ref) error {
	items, err := f.ask(ctx, d, nodes)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, n := range nodes {
		if err != nil {
			f.walk.Again(n)
			continue
		}
		if err = f.walk.Give(n, items[i]); err == nil {
			f.stats.Nodes++
		}
	}
	return err
}

func (f *fetcher) stepPages(ctx context.Context, d Donor, refs []snapshot.Ref) error {
	var wanted []snapshot.Ref
	var pages []snapshot.Page
	for _, p := range refs {
		if p.Digest == snapshot.ZeroPage {
			pages = append(pages, snapshot.Page{Index: p.Index, Data: zeroPage[:]})
			continue
		}
		wanted = append(wanted, p)
	}
	var items [][]byte
	var err error
	if len(wanted) > 0 {
		items, err = f.ask(ctx, d, wanted)
	}
	var missing []snapshot.Ref
	for i, p := range wanted {
		if err == nil {
			err = snapshot.CheckPage(p, items[i])
		}
		if err != nil {
			missing = append(missing, p)
			continue
		}
		pages = append(pages, snapshot.Page{Index: p.Index, Data: items[i]})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = append(f.again, missing...)
	f.stats.Pages += len(pages)
	if f.err == nil && len(pages) > 0 {
		f.err = f.patch(pages)
	}
	return err
}

var zeroPage [snapshot.PageSize]byte

// ask asks for parts and returns as many items.
func (f *fetcher) ask(ctx context.Context, d Donor, parts []snapshot.Ref) ([][]byte, error) {
	r, wire, err := ask(ctx, f.conn, d.Subject, request{Kind: kindParts, Parts: parts})
	f.mu.Lock()
	f.stats.Bytes += uint64(wire)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if len(r.Items) != len(parts) {
		return nil, fmt.Errorf("reply has %d items, want %d", len(r.Items), len(parts))
	}
	return r.Items, nil
}
