package linear

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"lockstep/client"
)

// caller is what a client does: it asks, and gets an output, an error that the machine gave, or no
// answer.
type caller interface {
	Call(ctx context.Context, input []byte) (client.Output, error)
}

// recorder keeps the history of several callers.
type recorder struct {
	began time.Time
	mu    sync.Mutex
	calls history
	next  int    // number of the next sequence of calls of which none overlap
	drawn uint64 // values given out
}

func newRecorder() *recorder { return &recorder{began: time.Now(), drawn: 1} }

func (r *recorder) process() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return r.next - 1
}

func (r *recorder) unique() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drawn++
	return r.drawn
}

// unanswered is how long a call waits until it counts as without an answer.
const unanswered = 4 * time.Second

// call makes one call and keeps it. answered is false if nobody knows what became of it.
func (r *recorder) call(t *testing.T, c caller, process int, o operation) (answered bool) {
	ctx, cancel := context.WithTimeout(context.Background(), unanswered)
	defer cancel()
	call := int64(time.Since(r.began))
	out, err := c.Call(ctx, o.encode())
	kept := porcupine.Operation{ClientId: process, Input: o, Call: call, Output: decode(out.Bytes), Return: int64(time.Since(r.began))}
	var fail *client.FailError
	var rejected *client.RejectedError
	switch {
	case errors.As(err, &fail):
		kept.Output, kept.Return = answer{unknown: true}, never
	case errors.As(err, &rejected):
		kept.Output = answer{full: true}
	case err != nil:
		t.Errorf("%v: %v", o, err)
	}
	if fail != nil && o.reads() {
		return false
	}
	r.mu.Lock()
	r.calls = append(r.calls, kept)
	r.mu.Unlock()
	return fail == nil
}

// run calls until ctx ends, at a pace that keeps the history short enough to be judged.
func (r *recorder) run(ctx context.Context, t *testing.T, c caller, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	process := r.process()
	pace := time.NewTicker(8 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		if !r.call(t, c, process, draw(random, r.unique())) {
			process = r.process() // that call may yet take effect, beside those that follow
		}
		<-pace.C
	}
}

// end asks for all that is left, when nothing else happens any more: what was lost or done twice shows here.
func (r *recorder) end(t *testing.T, c caller) {
	process := r.process()
	must := func(o operation) answer {
		for range 10 {
			if r.call(t, c, process, o) {
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.calls[len(r.calls)-1].Output.(answer)
			}
			process = r.process()
		}
		t.Fatalf("%v gets no answer after all faults were mended", o)
		return answer{}
	}
	for key := range uint64(3) {
		must(operation{op: opRead, a: key})
		must(operation{op: opGet, a: key})
	}
	must(operation{op: opBalances})
	for must(operation{op: opPop}).numbers[0] == 1 {
	}
}
