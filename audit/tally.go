package audit

import (
	"fmt"
	"slices"
)

// Tally counts statements about one position until a majority of voters has
// made the same one. Statement is whatever must be equal: for votes the seq,
// chain and outputs; for audit records the seq, chain and root.
//
// The zero Tally is ready. It counts each voter once; a voter that states two
// different things is evidence of a fault, and its first statement stands.
type Tally[Statement comparable] struct {
	stated map[ReplicaID]Statement
	counts map[Statement]int
}

// ConflictError says that a replica stated two different things about one
// position. Both statements are signed, so that it proves the fault.
type ConflictError struct{ Replica ReplicaID }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("replica %s made two different statements about one position", e.Replica)
}

// Add counts a voter's statement. The caller has checked that the replica is a
// voter and that the signature is its own.
func (t *Tally[Statement]) Add(replica ReplicaID, s Statement) error {
	if first, ok := t.stated[replica]; ok {
		if first != s {
			return &ConflictError{replica}
		}
		return nil
	}
	if t.stated == nil {
		t.stated = make(map[ReplicaID]Statement)
		t.counts = make(map[Statement]int)
	}
	t.stated[replica] = s
	t.counts[s]++
	return nil
}

// Decided returns the statement that at least majority voters made, if any.
// With majority > voters/2 there is at most one.
func (t *Tally[Statement]) Decided(majority int) (s Statement, ok bool) {
	for s, n := range t.counts {
		if n >= majority {
			return s, true
		}
	}
	return s, false
}

// Voices is the number of replicas that have stated anything.
func (t *Tally[Statement]) Voices() int { return len(t.stated) }

// Stated returns what a replica stated.
func (t *Tally[Statement]) Stated(replica ReplicaID) (s Statement, ok bool) {
	s, ok = t.stated[replica]
	return s, ok
}

// Possible reports whether some statement can still reach majority when all
// of voters have spoken; if not, the answer is FAIL.
func (t *Tally[Statement]) Possible(majority, voters int) bool {
	silent := voters - len(t.stated)
	if silent >= majority {
		return true
	}
	for _, n := range t.counts {
		if n+silent >= majority {
			return true
		}
	}
	return false
}

// Supporters lists the replicas that made a statement, ascending.
func (t *Tally[Statement]) Supporters(s Statement) []ReplicaID {
	var list []ReplicaID
	for replica, stated := range t.stated {
		if stated == s {
			list = append(list, replica)
		}
	}
	slices.Sort(list)
	return list
}

// Remove takes back what a replica stated.
func (t *Tally[Statement]) Remove(replica ReplicaID) {
	s, ok := t.stated[replica]
	if !ok {
		return
	}
	delete(t.stated, replica)
	if t.counts[s]--; t.counts[s] == 0 {
		delete(t.counts, s)
	}
}
