package transfer

import (
	"sync"
	"time"

	"lockstep/audit"
	"lockstep/ordering"
)

// long is the manifest or blob that is being given, part after part: to read and
// check all of it for each part would cost its size squared. It is let go when its
// end was given, another is asked for, or nobody has asked for a while.
type long struct {
	mu    sync.Mutex
	of    longKey
	whole []byte
	idle  *time.Timer
}

type longKey struct {
	kind  kind
	epoch ordering.Epoch
	seq   ordering.Seq
	blob  audit.Digest
}

// get gives what is kept or else reads it. most bytes from the offset on are about
// to be given.
func (l *long) get(q request, most uint64, read func() ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := longKey{q.Kind, q.Epoch, q.Seq, q.Blob}
	if l.whole == nil || l.of != of {
		whole, err := read()
		if err != nil {
			return nil, err
		}
		l.of, l.whole = of, whole
	}
	whole := l.whole
	if l.idle != nil {
		l.idle.Stop()
	}
	if left := uint64(len(whole)) - min(q.Offset, uint64(len(whole))); left <= most {
		l.whole = nil
	} else {
		l.idle = time.AfterFunc(2*requestTimeout, l.drop)
	}
	return whole, nil
}

func (l *long) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = nil
}
