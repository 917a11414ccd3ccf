package paging

import (
	"fmt"

	"lockstep/snapshot"
)

// anonymous are two memories of their own, as Compare has them.
type anonymous struct{ live, committed []byte }

func mapAnonymous(size uint64) (a anonymous, err error) {
	if a.live, err = reserve(size); err != nil {
		return a, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	if a.committed, err = reserve(size); err != nil {
		return a, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return a, nil
}

// populated is the number of pages for which to ask the system at once costs less
// than a fault at each.
const populated = 4

func (a anonymous) write(run []snapshot.Page) {
	for _, memory := range [][]byte{a.live, a.committed} {
		if len(run) >= populated {
			populate(memory[uint64(run[0].Index)*PageSize:][:len(run)*PageSize])
		}
		for _, p := range run {
			copy(page(memory, p.Index), p.Data)
		}
	}
}

func (a anonymous) cut(from, to uint64) {
	drop(a.live[from:to])
	drop(a.committed[from:to])
}
