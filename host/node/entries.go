package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// Bounds of an answer with entries.
const (
	servedEntries  = 512
	servedBytes    = 448 << 10 // with the last one it stays under a message's largest size
	entryPatience  = 2 * time.Second
	maxEntriesData = ordering.MaxEntry + 64<<10
)

// serveEntries answers from the journal.
func (r *Replica) serveEntries(m *nats.Msg) {
	var ask epochs.EntriesAsk
	if epochs.EntriesAskFormat.Decode(m.Data, &ask) != nil || ask.From == 0 {
		return
	}
	var answer epochs.Entries
	entries, err := r.journal.Read(ask.From, int(min(ask.Most, servedEntries)), servedBytes)
	if err == nil {
		size := 0
		for _, e := range entries {
			if size += len(e.Data); size > servedBytes && len(answer.List) > 0 {
				break
			}
			answer.List = append(answer.List, epochs.Kept(e))
		}
	}
	_ = m.Respond(epochs.EntriesFormat.Encode(answer)) // whoever misses it asks again
}

// entriesFrom asks one replica for entries of its journal, as a run from a seq on. It answers
// nothing if that one does not have them.
func (r *Replica) entriesFrom(ctx context.Context, id audit.ReplicaID, from ordering.Seq, most uint64) []ordering.Entry {
	ctx, cancel := context.WithTimeout(ctx, entryPatience)
	defer cancel()
	request := epochs.EntriesAskFormat.Encode(epochs.EntriesAsk{From: from, Most: most})
	m, err := r.node.opts.Conn.RequestWithContext(ctx, epochs.EntrySubject(string(r.name), id), request)
	if err != nil || len(m.Data) > maxEntriesData {
		return nil
	}
	var answer epochs.Entries
	if epochs.EntriesFormat.Decode(m.Data, &answer) != nil {
		return nil
	}
	var out []ordering.Entry
	for _, k := range answer.List {
		if k.Seq != from+ordering.Seq(len(out)) || len(k.Data) > ordering.MaxEntry {
			return nil
		}
		out = append(out, k.Entry())
	}
	return out
}

// errNobodyHas says that no replica could give entries that prove themselves.
var errNobodyHas = errors.New("no replica has the entries in its journal")

// path asks other replicas for the entries after one position up to another, which their chain must
// lead to.
func (r *Replica) path(ctx context.Context, from, to ordering.Position) ([]ordering.Entry, error) {
	if to.Seq-from.Seq > maxPath {
		return nil, fmt.Errorf("%d entries are missing: %w", to.Seq-from.Seq, errNobodyHas)
	}
	for _, id := range r.peers() {
		one, cancel := context.WithTimeout(ctx, pathPatience)
		out, whole := gatherPath(from, to, func(next ordering.Seq) []ordering.Entry {
			return r.entriesFrom(one, id, next, uint64(to.Seq-next+1))
		})
		cancel()
		if whole {
			return out, nil
		}
	}
	return nil, errNobodyHas
}

// gatherPath asks one replica for the entries after one position up to another. It may answer anything.
func gatherPath(from, to ordering.Position, ask func(next ordering.Seq) []ordering.Entry) (out []ordering.Entry, whole bool) {
	bytes := 0
	at := from
	for at.Seq < to.Seq {
		end, taken := along(at, to, ask(at.Seq+1))
		for _, e := range taken {
			bytes += len(e.Data)
		}
		if len(taken) == 0 || bytes > maxPathBytes {
			return nil, false
		}
		at, out = end, append(out, taken...)
	}
	return out, at == to
}

// along is how far entries lead from one position towards another: where they come to, and which of them follow each
// other there.
func along(at, to ordering.Position, entries []ordering.Entry) (end ordering.Position, taken []ordering.Entry) {
	for _, e := range entries {
		if at.Seq < to.Seq && at.Follows(e) {
			at = at.Next(e)
			taken = append(taken, e)
		}
	}
	return at, taken
}

// Bounds of what is had from other replicas entry by entry: its chain is proved only once all of it is here. Beyond
// them a state is transferred.
const (
	maxPath      = 16 << 10
	maxPathBytes = 256 << 20
	pathPatience = 30 * time.Second // for all of it, of one replica, which may give an entry at a time
)

// peers are the other members.
func (r *Replica) peers() []audit.ReplicaID {
	var ids []audit.ReplicaID
	for _, m := range r.status.Load().Members.List {
		if m.ID != r.id {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// patch gets the entry that the log has lost, though it has later ones, from other replicas: with the
// position after it as a majority of voters states it. Then the log is opened again after it.
func (r *Replica) patch(ctx context.Context, hole *ordering.BreakError) ([]ordering.Entry, error) {
	last := r.journal.Last()
	if hole.Seq != last.Seq+1 {
		return nil, hole
	}
	stated, err := r.stated(ctx, hole.Seq)
	if err != nil {
		return nil, hole
	}
	entries, err := r.path(ctx, last, stated)
	if err != nil {
		return nil, hole
	}
	log, err := r.node.opts.OpenLog(ctx, r.name, hole.Epoch)
	if err != nil {
		return nil, fmt.Errorf("open log again: %w", err)
	}
	r.logger.Warn("log has lost an entry; other replicas have it", "seq", uint64(hole.Seq))
	r.log.set(log)
	log.Resume(entries[0])
	return entries, r.append(entries)
}

// stated asks replicas for the position after the entry at a seq and returns what a majority of voters
// says.
func (r *Replica) stated(ctx context.Context, seq ordering.Seq) (ordering.Position, error) {
	panel := r.status.Load().Members
	stands, err := r.askPoints(ctx, seq)
	if err != nil {
		return ordering.Position{}, err
	}
	var tally audit.Tally[ordering.Position]
	for i := range stands {
		_, voter := panel.Voter(stands[i].Replica) // this replica itself may be none
		if at, has := stands[i].At(seq); voter && has {
			_ = tally.Add(stands[i].Replica, at) // each is there once
		}
	}
	if p, ok := tally.Decided(panel.Majority()); ok {
		return p, nil
	}
	return ordering.Position{}, errNobodyHas
}

// askPoints is askStands for one seq, from outside of the loop.
func (r *Replica) askPoints(ctx context.Context, seq ordering.Seq) (stands []audit.Stand, err error) {
	done := make(chan struct{})
	ask := func(r *Replica) {
		defer close(done)
		stands, err = r.askStands(ctx, []ordering.Seq{seq})
	}
	select {
	case r.asks <- ask:
		<-done
		return stands, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
