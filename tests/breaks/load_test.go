package breaks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/client"
	"lockstep/guests/examples/kv"
)

// load is callers that each count up a number of their own. Every answer must be the count of the
// calls so far: one more and a call was applied twice, one less and an accepted one is gone.
type load struct {
	t        *testing.T
	cl       *client.Client
	stop     chan struct{}
	wg       sync.WaitGroup
	answered atomic.Int64
	counts   []atomic.Int64 // accepted, by caller
	errs     chan error
	// uncounted has answers kept and not judged: what was accepted before may be lost. See survivors.
	uncounted atomic.Bool
	outputs   [callers][]counted
}

// counted is an answer: the count, and who is to have stated it.
type counted struct {
	n   int64
	out client.Output
}

const callers = 8

func startLoad(t *testing.T, cl *client.Client) *load {
	l := &load{t: t, cl: cl, stop: make(chan struct{}), counts: make([]atomic.Int64, callers), errs: make(chan error, callers)}
	for i := range callers {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), callPatience)
				out, err := cl.Call(ctx, kv.Add(fmt.Sprint("n", i), 1))
				cancel()
				var got int64
				if err == nil {
					got, err = kv.DecodeNumber(out.Bytes)
				}
				if want := l.counts[i].Load() + 1; err == nil && got != want && !l.uncounted.Load() {
					err = fmt.Errorf("caller %d: %d after %d calls that were answered", i, got, want)
				}
				if err != nil {
					l.errs <- err
					return
				}
				l.outputs[i] = append(l.outputs[i], counted{got, out})
				l.counts[i].Add(1)
				l.answered.Add(1)
			}
		})
	}
	return l
}

// more waits until so many more calls are answered.
func (l *load) more(n int64) {
	l.t.Helper()
	want := l.answered.Load() + n
	await(l.t, fmt.Sprint(n, " more answers"), func() bool {
		select {
		case err := <-l.errs:
			l.t.Fatal(err)
		default:
		}
		return l.answered.Load() >= want
	})
}

// end ends the load and checks that everything accepted is there once.
func (l *load) end() {
	l.t.Helper()
	l.await()
	l.countAll()
}

// await has the callers end.
func (l *load) await() {
	t := l.t
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	select {
	case err := <-l.errs:
		t.Fatal(err)
	default:
	}
}

// countAll wants each number to be what its caller counts.
func (l *load) countAll() {
	t := l.t
	t.Helper()
	for i := range callers {
		out, err := l.cl.Call(within(t, patience), kv.Add(fmt.Sprint("n", i), 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != l.counts[i].Load() {
			t.Errorf("caller %d: %d, %v, accepted %d", i, got, err, l.counts[i].Load())
		}
	}
}

// survivors ends the load after something was lost, and wants what was not, in the order in which it was accepted, to be the count of
// the calls. A call whose answer is lost may have been sent to both ways, and count all the same. It returns what is lost, oldest first.
func (l *load) survivors(isLost func(client.Output) bool) (lost []client.Output) {
	t := l.t
	t.Helper()
	l.await()
	for i, outputs := range l.outputs {
		var sum, mayCount int64 // mayCount: answers that are lost since the one before
		for _, o := range outputs {
			if isLost(o.out) {
				lost = append(lost, o.out)
				mayCount++
				continue
			}
			if o.n <= sum || o.n > sum+1+mayCount {
				t.Errorf("caller %d: %d at seq %d, after %d, and %d that are lost", i, o.n, o.out.Seq, sum, mayCount)
			}
			sum, mayCount = o.n, 0
		}
		l.counts[i].Store(sum)
	}
	slices.SortFunc(lost, func(a, b client.Output) int { return cmp.Compare(a.Seq, b.Seq) })
	l.countAll()
	return lost
}
