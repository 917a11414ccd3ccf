package node

import (
	"slices"
	"sync"
	"time"

	"lockstep/audit"
	"lockstep/ordering"
)

// recent is what a replica may state without asking its loop: how far it has
// applied the log and has it on disk, and the chain after each of the last
// entries. It is never behind a vote that was sent: a majority that votes and a
// majority that answers a question have a replica in common, and what that one
// answers is not older than its vote.
type recent struct {
	mu      sync.Mutex
	voting  bool // this replica may state where it is
	shut    bool // what it knows of the log is in doubt
	durable ordering.Seq
	ring    [recentPoints]point
	first   ordering.Seq // lowest seq in the ring
	last    ordering.Seq // highest; 0: none
	waits   []wait
	bytes   int // of what the waits hold
}

// point is the log up to an entry, and the membership there.
type point struct {
	at      ordering.Position
	members ordering.Seq
	mode    audit.Mode
}

// wait is a question whose seq has not come yet.
type wait struct {
	seq   ordering.Seq
	size  int
	until time.Time
	reply func(point, bool)
}

// Bounds of recent.
const (
	recentPoints = 4096
	maxWaits     = 1024
	maxWaitBytes = 32 << 20
	waitPatience = time.Second
)

// advance takes note of an entry, before it is voted on. voting tells whether the
// replica may state things.
func (r *recent) advance(p point, voting bool) {
	r.mu.Lock()
	r.voting = voting
	if p.at.Seq != r.last {
		if p.at.Seq != r.last+1 || r.last == 0 {
			r.first = p.at.Seq // a state from elsewhere: what was before it is not known
		}
		r.last = p.at.Seq
		if r.last-r.first >= recentPoints {
			r.first = r.last - recentPoints + 1
		}
	}
	r.ring[r.last%recentPoints] = p
	r.wake()
}

// release takes note of how far the entries are durable, or that nothing may be
// stated any more.
func (r *recent) release(durable ordering.Seq, shut bool) {
	r.mu.Lock()
	r.durable, r.shut = durable, shut
	r.wake()
}

// newest is the newest point that may be stated. The caller holds mu.
func (r *recent) newest() (point, bool) {
	seq := min(r.last, r.durable)
	if !r.voting || r.shut || seq < r.first || r.last == 0 {
		return point{}, false
	}
	return r.ring[seq%recentPoints], true
}

// wake answers the waits that can be answered, and gives mu back.
func (r *recent) wake() {
	p, ok := r.newest()
	var ready []wait
	if ok && len(r.waits) > 0 {
		ready = r.takeWaits(func(w wait) bool { return w.seq <= p.at.Seq })
	}
	r.mu.Unlock()
	if len(ready) > 0 {
		go answer(ready, p, true)
	}
}

func answer(waits []wait, p point, ok bool) {
	for _, w := range waits {
		w.reply(p, ok)
	}
}

// takeWaits takes out the waits that fit. The caller holds mu.
func (r *recent) takeWaits(fits func(wait) bool) (taken []wait) {
	kept := r.waits[:0]
	for _, w := range r.waits {
		if fits(w) {
			taken = append(taken, w)
			r.bytes -= w.size
		} else {
			kept = append(kept, w)
		}
	}
	clear(r.waits[len(kept):])
	r.waits = kept
	return taken
}

// when calls reply with the newest point once it is at seq or later; ok is false
// if that did not come in time, or too much waits that comes sooner. size is the
// bytes that reply holds on to.
func (r *recent) when(seq ordering.Seq, size int, reply func(p point, ok bool)) {
	r.mu.Lock()
	p, ok := r.newest()
	if ok && p.at.Seq >= seq {
		r.mu.Unlock()
		reply(p, true)
		return
	}
	r.waits = append(r.waits, wait{seq, size, time.Now().Add(waitPatience), reply})
	r.bytes += size
	var over []wait
	for len(r.waits) > maxWaits || r.bytes > maxWaitBytes {
		over = append(over, r.dropFarthest())
	}
	r.mu.Unlock()
	answer(over, point{}, false)
}

// dropFarthest takes out the wait whose seq is the farthest off, the newest of
// several: so whoever asks for what may never come keeps nobody else from an
// answer. The caller holds mu.
func (r *recent) dropFarthest() wait {
	far := 0
	for i := range r.waits {
		if r.waits[i].seq >= r.waits[far].seq {
			far = i
		}
	}
	w := r.waits[far]
	r.bytes -= w.size
	r.waits = slices.Delete(r.waits, far, far+1)
	return w
}

// at returns the point after one entry, if it is known.
func (r *recent) at(seq ordering.Seq) (point, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.first || seq > r.last {
		return point{}, false
	}
	return r.ring[seq%recentPoints], true
}

// expire ends the waits that waited too long.
func (r *recent) expire(now time.Time) {
	r.mu.Lock()
	over := r.takeWaits(func(w wait) bool { return !w.until.After(now) })
	r.mu.Unlock()
	answer(over, point{}, false)
}
