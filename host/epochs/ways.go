package epochs

import (
	"slices"
	"strings"

	"lockstep/audit"
	"lockstep/ordering"
)

// Way is how far some replicas came along one path.
type Way struct {
	Last ordering.Position
	// By are those whose journals lead to it, the one that is there first.
	By []audit.ReplicaID
}

// Ways compares statements, whether or not their replicas have stopped, and returns where they came to:
// one way if each leads to the longest, else the longest first. While statements
// lack positions that it takes to tell, ask has these.
func Ways(stands []audit.Stand) (ways []Way, ask []ordering.Seq) {
	sorted := make([]*audit.Stand, 0, len(stands))
	for i := range stands {
		sorted = append(sorted, &stands[i])
	}
	slices.SortFunc(sorted, func(a, b *audit.Stand) int {
		if a.Last == b.Last {
			return strings.Compare(string(a.Replica), string(b.Replica))
		}
		return compare(b.Last, a.Last)
	})
	var ends []*audit.Stand
	for _, s := range sorted {
		leads := false
		for i, end := range ends {
			same, known := onPath(s.Last, end)
			if !known {
				ask = append(ask, s.Last.Seq)
			}
			if known && same {
				ways[i].By = append(ways[i].By, s.Replica)
			}
			leads = leads || same || !known
		}
		if !leads {
			ends = append(ends, s)
			ways = append(ways, Way{Last: s.Last, By: []audit.ReplicaID{s.Replica}})
		}
	}
	slices.Sort(ask)
	return ways, slices.Compact(ask)
}

// Fork is the last seq at which the paths of two statements are alike, or, not exact, one that would tell
// more if both had it.
func Fork(a, b *audit.Stand) (seq ordering.Seq, exact bool) {
	long, short := a, b
	if long.Last.Seq < short.Last.Seq {
		long, short = short, long
	}
	switch same, known := onPath(short.Last, long); {
	case !known:
		return short.Last.Seq, false
	case same:
		return short.Last.Seq, true
	}
	return between(a, b)
}

// Needed is the number of voters whose statements are needed to decide anything: so many that whoever
// accepts something has the vote of one of them, and that no others can decide anything besides.
func Needed(panel audit.Members) int {
	return max(panel.Voters()-panel.Quorum()+1, panel.Majority())
}
