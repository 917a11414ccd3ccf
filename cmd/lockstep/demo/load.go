package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/client"
	"lockstep/guests/examples/kv"
)

// valueSize is the size of every value in bytes.
const valueSize = 128

// load is concurrent callers that put and get, each under keys of its own, and
// check that a get returns what they last put.
type load struct {
	client *client.Client
	cancel context.CancelFunc
	done   sync.WaitGroup
	calls  atomic.Int64 // answered
	left   atomic.Int64 // how many more may start
	began  time.Time
	took   time.Duration

	mu      sync.Mutex
	latency []time.Duration
	errs    []error
}

const (
	keysPerCaller = 64
	callTimeout   = 20 * time.Second
	endless       = 1 << 40
)

// startLoad starts callers that make up to calls calls together.
func startLoad(ctx context.Context, c *client.Client, callers int, calls int64) *load {
	l := &load{client: c, began: time.Now()}
	l.left.Store(calls)
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range callers {
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			l.caller(ctx, i)
		}()
	}
	return l
}

// caller alternates between putting a new value and getting it back.
func (l *load) caller(ctx context.Context, id int) {
	var latency []time.Duration
	defer func() {
		l.mu.Lock()
		l.latency = append(l.latency, latency...)
		l.mu.Unlock()
	}()
	var value []byte
	for n := 0; l.left.Add(-1) >= 0 && ctx.Err() == nil; n++ {
		key := callerKey(id, n/2%keysPerCaller)
		request := kv.Get(key)
		if n%2 == 0 {
			value = valueOf(key, n)
			request = kv.Put(key, value)
		}
		began := time.Now()
		out, err := l.call(ctx, request)
		if ctx.Err() != nil {
			return // stopped, not failed
		}
		if err == nil && n%2 == 1 {
			err = sameValue(out.Bytes, value)
		}
		if err != nil {
			l.fail(fmt.Errorf("caller %d, call %d: %w", id, n, err))
			return
		}
		latency = append(latency, time.Since(began))
		l.calls.Add(1)
	}
}

// call waits for its answer even when the load is being stopped, so that no
// call is cut off in the middle.
func (l *load) call(ctx context.Context, request []byte) (client.Output, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return l.client.Call(ctx, request)
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// answered is the number of calls answered so far.
func (l *load) answered() int64 { return l.calls.Load() }

// wait waits until all calls are made.
func (l *load) wait() { l.done.Wait(); l.took = time.Since(l.began); l.cancel() }

// stop ends the load after the calls that are under way.
func (l *load) stop() { l.left.Store(0); l.wait() }

// err is what went wrong, nil if nothing.
func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// quantile returns the latency below which the share q of the calls was.
func (l *load) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.latency) == 0 {
		return 0
	}
	slices.Sort(l.latency)
	return l.latency[min(len(l.latency)-1, int(q*float64(len(l.latency))))]
}

func callerKey(caller, n int) string { return fmt.Sprintf("caller-%03d/key-%03d", caller, n) }

// valueOf is recognisable and differs from call to call.
func valueOf(key string, n int) []byte {
	value := fmt.Appendf(nil, "%s value %08d ", key, n)
	for len(value) < valueSize {
		value = append(value, byte('a'+len(value)%26))
	}
	return value[:valueSize]
}

func sameValue(answer, want []byte) error {
	got, ok, err := kv.DecodeGet(answer)
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("a key that was put is not there")
	case !bytes.Equal(got, want):
		return fmt.Errorf("got %.40q, want %.40q", got, want)
	}
	return nil
}
