package ordering

import "fmt"

// Position is how far something is in a log, with the chain that proves it.
// The zero Position is before the first entry.
type Position struct {
	_     struct{} `cbor:",toarray"`
	Epoch Epoch
	Seq   Seq
	Chain Chain
}

// Next is the position after e, which follows p.
func (p Position) Next(e Entry) Position {
	return Position{Epoch: e.Epoch, Seq: e.Seq, Chain: p.Chain.Next(e)}
}

// Follows tells whether e may be the entry after p: the next seq, and no
// epoch before.
func (p Position) Follows(e Entry) bool { return e.Seq == p.Seq+1 && e.Epoch >= p.Epoch }

func (p Position) String() string { return fmt.Sprintf("%d/%d %v", p.Epoch, p.Seq, p.Chain) }
