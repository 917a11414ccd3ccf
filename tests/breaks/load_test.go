package breaks

import (
	"context"
	"fmt"
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
				if want := l.counts[i].Load() + 1; err == nil && got != want {
					err = fmt.Errorf("caller %d: %d after %d calls that were answered", i, got, want)
				}
				if err != nil {
					l.errs <- err
					return
				}
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
	t := l.t
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	select {
	case err := <-l.errs:
		t.Fatal(err)
	default:
	}
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
