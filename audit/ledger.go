package audit

import (
	"slices"

	"lockstep/ordering"
)

// State is what audit records state alike: the chain and the root at one seq.
type State struct {
	Chain ordering.Chain
	Root  Digest
}

// Position is where in the logs of a machine something was stated.
type Position struct {
	Epoch ordering.Epoch
	Seq   ordering.Seq
}

func (p Position) before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Seq < q.Seq
}

// Ledger keeps what replicas stated about their states at recent positions,
// and judges it. The zero Ledger is ready.
type Ledger struct {
	pages []*ledgerPage // ascending by position
}

type ledgerPage struct {
	at     Position
	states Tally[State]
	stored Tally[State]
	signed map[ReplicaID]Record // the first of each replica
}

// ledgerPages bounds the positions that are kept, and lonePages those of them at
// which one replica alone has stated anything: so that nobody who makes positions
// up can push out those at which others meet.
const (
	ledgerPages = 256
	lonePages   = 24
)

// Add counts a record. The caller has checked that it is signed by a voter of
// the membership it names; one without a signature counts, and is no evidence. A
// *ConflictError says that the replica lies or runs twice.
func (l *Ledger) Add(r Record) error {
	at := Position{r.Epoch, r.Seq}
	page := l.page(at, false)
	if page == nil {
		l.makeRoom(r.Replica)
		page = l.page(at, true)
	}
	if page == nil {
		return nil // older than all that is kept
	}
	if _, known := page.signed[r.Replica]; !known && len(r.Signature) > 0 {
		page.signed[r.Replica] = r
	}
	s := State{r.Chain, r.Root}
	if r.Stored {
		if err := page.stored.Add(r.Replica, s); err != nil {
			return err
		}
	}
	return page.states.Add(r.Replica, s)
}

// makeRoom drops the oldest position at which a replica alone has stated anything,
// if there are too many.
func (l *Ledger) makeRoom(replica ReplicaID) {
	oldest, lone := -1, 0
	for i, page := range l.pages {
		if _, stated := page.states.Stated(replica); stated && page.states.Voices() == 1 {
			if lone++; oldest < 0 {
				oldest = i
			}
		}
	}
	if lone >= lonePages {
		l.pages = slices.Delete(l.pages, oldest, oldest+1)
	}
}

// Judge returns what a majority stated at a position.
func (l *Ledger) Judge(at Position, majority int) (State, bool) {
	if page := l.page(at, false); page != nil {
		return page.states.Decided(majority)
	}
	return State{}, false
}

// Stated returns what one replica stated at a position.
func (l *Ledger) Stated(at Position, replica ReplicaID) (State, bool) {
	if page := l.page(at, false); page != nil {
		return page.states.Stated(replica)
	}
	return State{}, false
}

// Stored returns the newest position at which a majority holds a durable
// checkpoint of one and the same state.
func (l *Ledger) Stored(majority int) (at Position, s State, ok bool) {
	for i := len(l.pages) - 1; i >= 0; i-- {
		if s, ok := l.pages[i].stored.Decided(majority); ok {
			return l.pages[i].at, s, true
		}
	}
	return Position{}, State{}, false
}

// Holders lists the replicas that hold a durable checkpoint of a state,
// ascending.
func (l *Ledger) Holders(at Position, s State) []ReplicaID {
	page := l.page(at, false)
	if page == nil {
		return nil
	}
	return page.stored.Supporters(s)
}

// Divergence is a replica that stated another state than the majority.
type Divergence struct {
	At       Position
	Replica  ReplicaID
	Stated   State
	Majority State
}

// Divergences lists the replicas that differ from the majority at a position,
// ascending by name.
func (l *Ledger) Divergences(at Position, majority int) []Divergence {
	page := l.page(at, false)
	if page == nil {
		return nil
	}
	agreed, ok := page.states.Decided(majority)
	if !ok {
		return nil
	}
	var list []Divergence
	for replica, s := range page.states.stated {
		if s != agreed {
			list = append(list, Divergence{at, replica, s, agreed})
		}
	}
	slices.SortFunc(list, func(a, b Divergence) int {
		if a.Replica < b.Replica {
			return -1
		}
		return 1
	})
	return list
}

// Forget drops what one replica stated, all of it: it has been repaired and
// will state anew.
func (l *Ledger) Forget(replica ReplicaID) {
	for _, page := range l.pages {
		page.states.Remove(replica)
		page.stored.Remove(replica)
		delete(page.signed, replica)
	}
}

func (l *Ledger) page(at Position, add bool) *ledgerPage {
	i, found := slices.BinarySearchFunc(l.pages, at, func(p *ledgerPage, at Position) int {
		switch {
		case p.at == at:
			return 0
		case p.at.before(at):
			return -1
		}
		return 1
	})
	if found {
		return l.pages[i]
	}
	if !add || i == 0 && len(l.pages) == ledgerPages {
		return nil
	}
	page := &ledgerPage{at: at, signed: make(map[ReplicaID]Record)}
	l.pages = slices.Insert(l.pages, i, page)
	if len(l.pages) > ledgerPages {
		l.pages = slices.Delete(l.pages, 0, 1)
	}
	return page
}
