package node

import (
	"testing"

	"lockstep/ordering"
)

// chained makes entries one after the other, and the positions after each.
func chained(from ordering.Position, n int, size int) (entries []ordering.Entry, at []ordering.Position) {
	at = append(at, from)
	data := make([]byte, size)
	for range n {
		e := ordering.Entry{Epoch: from.Epoch, Seq: from.Seq + 1, Data: data}
		from = from.Next(e)
		entries, at = append(entries, e), append(at, from)
	}
	return entries, at
}

// Whoever is asked for entries may answer anything: what does not lead there is not taken, and harms nobody.
func TestGatherPath(t *testing.T) {
	from := ordering.Position{Epoch: 2, Seq: 100}
	entries, at := chained(from, 10, 1)
	to := at[len(at)-1]
	none := func(ordering.Seq) []ordering.Entry { return nil }
	nobody := func(next ordering.Seq) []ordering.Entry {
		t.Errorf("was asked for entries from %d on, which cannot help", next)
		return nil
	}
	by := func(list []ordering.Entry, most int) func(ordering.Seq) []ordering.Entry {
		return func(next ordering.Seq) []ordering.Entry {
			i := int(next - from.Seq - 1)
			return list[i:min(len(list), i+most)]
		}
	}
	before, _ := chained(ordering.Position{Epoch: 1, Seq: 100}, 10, 1) // of the epoch before, at the same seqs
	forged := append([]ordering.Entry(nil), entries...)
	forged[4].Data = []byte("forged")
	large, largeAt := chained(from, 300, 1<<20)
	for _, c := range []struct {
		name string
		to   ordering.Position
		ask  func(ordering.Seq) []ordering.Entry
		want int
	}{
		{"all at once", to, by(entries, 100), 10},
		{"in pieces", to, by(entries, 3), 10},
		{"nothing is missing", from, nobody, 0},
		{"another way to the same seq", ordering.Position{Epoch: 2, Seq: 100, Chain: to.Chain}, nobody, -1},
		{"no answer", to, none, -1},
		{"another epoch's", to, by(before, 100), -1},
		{"half, then another epoch's", to, by(append(append([]ordering.Entry(nil), entries[:5]...), before[5:]...), 100), -1},
		{"always the first", to, func(ordering.Seq) []ordering.Entry { return entries[:1] }, -1},
		{"forged", to, func(next ordering.Seq) []ordering.Entry {
			if next > to.Seq {
				return nobody(next)
			}
			return by(forged, 100)(next)
		}, -1},
		{"more than fits into memory", largeAt[len(largeAt)-1], by(large, 8), -1},
	} {
		got, whole := gatherPath(from, c.to, c.ask)
		if whole != (c.want >= 0) || whole && len(got) != c.want {
			t.Errorf("%s: %d entries, whole %t; want %d", c.name, len(got), whole, c.want)
		}
	}
}
