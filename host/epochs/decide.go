// Package epochs says how a machine comes from one epoch to the next when its log breaks. Replicas
// stop and state how far their journals go (audit.Stand). Decide finds the position that everything
// accepted leads to, if there is one; an Opening is the proof of it, the first entry of the next epoch.
package epochs

import (
	"bytes"
	"slices"

	"lockstep/audit"
	"lockstep/ordering"
)

// Verdict is what the statements of voters that stopped leave of the question after which
// entry the next epoch starts. Exactly one of Decided, Missing, Ask and Split says something.
type Verdict struct {
	Decided bool
	Base    ordering.Position // if Decided: everything that can have been accepted leads to it

	Missing int            // so many more voters must state something before anything is known
	Ask     []ordering.Seq // positions that statements lack to be compared, ascending
	// Split lists how far those came that went ways of which more than one may have been accepted.
	// Statements of more voters can still decide it; if there are none, only an operator can.
	Split []ordering.Position
}

// Decide judges statements for the epoch next by the membership: what a quorum of voters, usually a
// majority, can have voted for alike.
//
// An entry was accepted if a quorum of voters voted for it, and each of these has it on the
// path to the end of its journal. Voters that stopped do not vote any more. So where paths
// part, an entry beyond can have been accepted only if those that went that way, and all of whom
// nothing is known, are a quorum together. With one such way at every fork, it leads to
// the base; where no way can have been accepted, any will do, and the one that most went is
// taken. Statements that are not a voter's, not signed by it, or for another epoch, count
// for nothing.
func Decide(machine string, stands []audit.Stand, panel audit.Members, next ordering.Epoch) Verdict {
	d := decision{quorum: panel.Quorum()}
	for i := range stands {
		s := &stands[i]
		key, voter := panel.Voter(s.Replica)
		known := slices.ContainsFunc(d.stands, func(o *audit.Stand) bool { return o.Replica == s.Replica })
		if voter && !known && promises(s, machine, next) && s.Verify(key) == nil {
			d.stands = append(d.stands, s)
		}
	}
	if n := Needed(panel) - len(d.stands); n > 0 {
		return Verdict{Missing: n}
	}
	d.silent = panel.Voters() - len(d.stands)
	return d.descend(d.stands)
}

// decision is one question.
type decision struct {
	stands []*audit.Stand
	quorum int // of votes that make an output accepted
	silent int // voters that state nothing
}

// descend follows the statements, which share a path up to some point, to its end.
func (d *decision) descend(group []*audit.Stand) Verdict {
	longest := slices.MaxFunc(group, func(a, b *audit.Stand) int { return compare(a.Last, b.Last) })
	var ask []ordering.Seq
	var others []*audit.Stand // on other paths
	for _, s := range group {
		switch same, known := onPath(s.Last, longest); {
		case !known:
			ask = append(ask, s.Last.Seq)
		case !same:
			others = append(others, s)
		}
	}
	if len(ask) == 0 && len(others) == 0 {
		return Verdict{Decided: true, Base: longest.Last}
	}
	first := longest.Last.Seq // where the first of them parts
	for _, o := range others {
		fork, exact := between(longest, o)
		if !exact {
			ask = append(ask, fork)
		}
		first = min(first, fork)
	}
	if len(ask) > 0 {
		return asking(ask)
	}
	return d.choose(group, first+1)
}

// onPath tells whether a position is on the path of a statement. One below the floor is behind
// what a majority has stored, and no entry that counts is beyond it.
func onPath(p ordering.Position, s *audit.Stand) (same, known bool) {
	if p.Seq < s.Floor.Seq {
		return true, true
	}
	at, known := s.At(p.Seq)
	return at == p, known
}

// between returns the last seq at which two paths that part are equal, or, not exact, a seq that
// would bring it nearer.
func between(a, b *audit.Stand) (fork ordering.Seq, exact bool) {
	low, high := max(a.Floor.Seq, b.Floor.Seq), min(a.Last.Seq, b.Last.Seq)
	x, ok := a.At(low)
	y, also := b.At(low)
	switch {
	case !ok || !also:
		return low, false
	case x != y:
		return low - 1, true
	}
	for _, seqs := range [][]ordering.Position{a.Points, b.Points, {a.Last, b.Last}} {
		for _, p := range seqs {
			x, ok := a.At(p.Seq)
			y, also := b.At(p.Seq)
			switch {
			case !ok || !also:
			case x == y:
				low = max(low, p.Seq)
			default:
				high = min(high, p.Seq)
			}
		}
	}
	if low+1 >= high {
		return high - 1, true
	}
	return low + (high-low)/2, false
}

// choose picks the way on where paths part: at has one position on each.
func (d *decision) choose(group []*audit.Stand, at ordering.Seq) Verdict {
	w := ways{by: make(map[ordering.Position][]*audit.Stand)}
	for _, s := range group {
		if s.Last.Seq >= at && s.Floor.Seq <= at { // else it ends before, or begins after
			w.add(s, at)
		}
	}
	for _, s := range group {
		if s.Floor.Seq > at {
			w.late = append(w.late, s)
		}
	}
	w.addLate()
	if len(w.ask) > 0 {
		return asking(w.ask)
	}
	slices.SortFunc(w.order, func(a, b ordering.Position) int {
		if n := len(w.by[b]) - len(w.by[a]); n != 0 {
			return n
		}
		return compare(a, b)
	})
	var possible [][]*audit.Stand
	for _, p := range w.order {
		if len(w.by[p])+len(w.late)+d.silent >= d.quorum {
			possible = append(possible, w.by[p])
		}
	}
	if len(w.late)+d.silent >= d.quorum && len(w.late) > 0 {
		possible = append(possible, w.late)
	}
	switch len(possible) {
	case 0:
		return d.descend(w.by[w.order[0]])
	case 1:
		return d.descend(possible[0])
	}
	return split(possible)
}

// ways are the paths beyond a fork, by their first position, and who went them.
type ways struct {
	by    map[ordering.Position][]*audit.Stand
	order []ordering.Position
	late  []*audit.Stand // begin beyond the fork: they went one of these ways, or another one
	ask   []ordering.Seq
}

func (w *ways) add(s *audit.Stand, at ordering.Seq) {
	p, known := s.At(at)
	switch {
	case !known:
		w.ask = append(w.ask, at)
		return
	case w.by[p] == nil:
		w.order = append(w.order, p)
	}
	w.by[p] = append(w.by[p], s)
}

// addLate adds the statements that begin beyond the fork to the ways that lead to their
// floors, as far as these are known.
func (w *ways) addLate() {
	for moved := true; moved && len(w.ask) == 0; {
		moved = false
		w.late = slices.DeleteFunc(w.late, func(s *audit.Stand) bool {
			way, found := w.leading(s.Floor)
			if found {
				w.by[way] = append(w.by[way], s)
				moved = true
			}
			return found
		})
	}
}

// leading finds the way that leads to a position.
func (w *ways) leading(to ordering.Position) (ordering.Position, bool) {
	for _, p := range w.order {
		for _, o := range w.by[p] {
			if o.Last.Seq < to.Seq || o.Floor.Seq > to.Seq {
				continue
			}
			at, known := o.At(to.Seq)
			if !known {
				w.ask = append(w.ask, to.Seq)
			}
			if known && at == to {
				return p, true
			}
		}
	}
	return ordering.Position{}, false
}

// split names where those came to that went a way which may have been accepted.
func split(possible [][]*audit.Stand) Verdict {
	var v Verdict
	for _, s := range slices.Concat(possible...) {
		if !slices.Contains(v.Split, s.Last) {
			v.Split = append(v.Split, s.Last)
		}
	}
	slices.SortFunc(v.Split, func(a, b ordering.Position) int { return compare(b, a) })
	return v
}

func asking(seqs []ordering.Seq) Verdict {
	slices.Sort(seqs)
	return Verdict{Ask: slices.Compact(seqs)}
}

// compare orders positions by seq, then epoch; the chain only makes the order total.
func compare(a, b ordering.Position) int {
	switch {
	case a.Seq != b.Seq:
		return order(a.Seq, b.Seq)
	case a.Epoch != b.Epoch:
		return order(a.Epoch, b.Epoch)
	}
	return bytes.Compare(a.Chain[:], b.Chain[:])
}

func order[T ~uint64](a, b T) int {
	if a < b {
		return -1
	}
	return 1
}
