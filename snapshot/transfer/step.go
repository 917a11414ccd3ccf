package transfer

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"lockstep/snapshot"
)

// step asks one question. Its error is the donor's; what is unanswered is open
// again.
func (r *run) step(ctx context.Context, d *donor, q question) error {
	if len(q.pages) > 0 {
		return r.stepPages(ctx, d, q.pages)
	}
	have := make([]byte, 0, len(q.nodes)*snapshot.SketchSize)
	for _, n := range q.nodes {
		have = snapshot.Sketch(have, r.local.Node(int(n.Level), n.Index))
	}
	unclear, err := r.stepNodes(ctx, d, q.nodes, have)
	if err == nil && len(unclear) > 0 {
		_, err = r.stepNodes(ctx, d, unclear, nil)
	} else if err != nil {
		r.giveBack(unclear)
	}
	return err
}

func (r *run) giveBack(nodes []snapshot.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walk.Again(nodes...)
}

// stepNodes asks for nodes: whole, or what differs from what the donor is told
// of in have. It returns those that this did not make clear.
func (r *run) stepNodes(ctx context.Context, d *donor, nodes []snapshot.Ref, have []byte) (unclear []snapshot.Ref, err error) {
	items, err := r.ask(ctx, d, nodes, have)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range nodes {
		if err != nil || i >= len(items) {
			r.walk.Again(n)
			continue
		}
		node := items[i]
		if have != nil {
			if node, err = snapshot.Merge(r.local.Node(int(n.Level), n.Index), node); err != nil {
				err = fmt.Errorf("node %d of level %d: %w", n.Index, n.Level, err)
				r.walk.Again(n)
				continue
			}
			if snapshot.NodeDigest(node) != n.Digest {
				unclear = append(unclear, n)
				continue
			}
		}
		if err = r.walk.Give(n, node); err == nil {
			r.stats.Nodes++
		}
	}
	return unclear, err
}

// slabs are buffers for the pages of a question.
var slabs = sync.Pool{New: func() any { return new([maxRefs * snapshot.PageSize]byte) }}

var zeroPage [snapshot.PageSize]byte

func (r *run) stepPages(ctx context.Context, d *donor, refs []snapshot.Ref) error {
	var wanted []snapshot.Ref
	pages := make([]snapshot.Page, 0, len(refs))
	for _, p := range refs {
		if p.Digest == snapshot.ZeroPage {
			pages = append(pages, snapshot.Page{Index: p.Index, Data: zeroPage[:], Digest: p.Digest})
			continue
		}
		wanted = append(wanted, p)
	}
	zeros := len(pages)
	var items [][]byte
	var err error
	if len(wanted) > 0 {
		items, err = r.ask(ctx, d, wanted, nil)
	}
	slab := slabs.Get().(*[maxRefs * snapshot.PageSize]byte)
	defer slabs.Put(slab)
	data, bad := unpackPages(items, slab)
	good, wrong := snapshot.CheckPages(wanted, data)
	if err == nil {
		err = cmp.Or(wrong, bad)
	}
	for i := range good {
		pages = append(pages, snapshot.Page{Index: wanted[i].Index, Data: data[i], Digest: wanted[i].Digest})
	}
	failed := r.take(pages, items[:good], zeros)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again = append(r.again, wanted[good:]...)
	r.stats.Pages += len(pages)
	if r.err == nil {
		r.err = failed
	}
	return err
}

// unpackPages reads frames up to the first that is none.
func unpackPages(frames [][]byte, slab *[maxRefs * snapshot.PageSize]byte) (pages [][]byte, err error) {
	pages = make([][]byte, 0, len(frames))
	for i, frame := range frames {
		at := i * snapshot.PageSize
		page, err := unpackPage(frame, slab[at:at:at+snapshot.PageSize])
		if err != nil {
			return pages, err
		}
		pages = append(pages, page)
	}
	return pages, nil
}

// take patches pages that are right; frames are those of all but the first few.
func (r *run) take(pages []snapshot.Page, frames [][]byte, zeros int) error {
	if len(pages) == 0 {
		return nil
	}
	r.patches.Lock()
	defer r.patches.Unlock()
	for i, frame := range frames {
		r.Stash.add(pages[zeros+i].Index, frame)
	}
	r.Stash.flush() // so that a kill loses no more than what is under way
	return r.Patch(pages)
}
