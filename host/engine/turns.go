package engine

import (
	"sync"

	"lockstep/audit"
)

// Nothing takes a node as much memory as to compile, so that few modules are compiled at a time, and few functions of one,
// as the rewriting tells. A large module may take a minute and must not hold up the others, which take a second or
// two at most: they have lanes of their own, and a quarter of that memory in each.
const (
	smallModule = 4 << 20 // bytes, instrumented: programs in Go begin with half of that
	smallShare  = 4
	smallLanes  = 2
	largeLanes  = 1
)

// turns decides which module is compiled when. One that is asked for several times at
// once is compiled once; wazero remembers it.
type turns struct {
	small, large chan struct{}

	mu   sync.Mutex
	busy map[turnKey]chan struct{} // closed when done
}

type turnKey struct {
	module audit.Digest
	memory uint32
}

func newTurns() *turns {
	return &turns{small: make(chan struct{}, smallLanes), large: make(chan struct{}, largeLanes), busy: make(map[turnKey]chan struct{})}
}

// take waits until a module may be compiled, of some bytes and with so many functions at once, and gives how many
// it is to be and what to call afterwards.
func (t *turns) take(key turnKey, size, atOnce int) (workers int, done func()) {
	mine := make(chan struct{})
	for {
		t.mu.Lock()
		other := t.busy[key]
		if other == nil {
			t.busy[key] = mine
			t.mu.Unlock()
			break
		}
		t.mu.Unlock()
		<-other
	}
	lane, workers := t.small, atOnce/smallShare
	if size > smallModule || workers == 0 {
		lane, workers = t.large, atOnce
	}
	lane <- struct{}{}
	return workers, func() {
		<-lane
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, key)
		close(mine)
	}
}
