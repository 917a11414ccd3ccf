package engine

import (
	"sync"

	"lockstep/audit"
)

// Nothing takes a node as much memory as to compile, so that few modules are compiled at a time. A large one may take
// a minute and must not hold up the others, which take a second or two at most: they have lanes of their own.
const (
	smallModule = 2 << 20 // bytes, instrumented
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

// take waits until a module of some bytes may be compiled, and gives what to call afterwards.
func (t *turns) take(key turnKey, size int) (done func()) {
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
	lane := t.small
	if size > smallModule {
		lane = t.large
	}
	lane <- struct{}{}
	return func() {
		<-lane
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, key)
		close(mine)
	}
}
