package linear

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/client"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering/jetstream"
	"lockstep/tests/nodeproc"
	"lockstep/wasmabi"
)

// credulous is a client that takes the first answer for the truth: a filter whose majority is one. It is
// here to be caught.
type credulous struct {
	log     *jetstream.Appender
	session host.Session

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan host.Receipt
}

func newCredulous(t *testing.T, c *nodeproc.Cluster) *credulous {
	t.Helper()
	conn := c.Connect(t, jetstream.Login{})
	log, err := jetstream.NewAppender(conn, jetstream.Ref{Machine: machine, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	b := &credulous{log: log, next: 1, waiting: make(map[uint64]chan host.Receipt)}
	_, _ = rand.Read(b.session.Client[:]) // never fails
	if _, err := conn.Subscribe(host.OutputSubject(machine, b.session.Client), b.receive); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *credulous) receive(m *nats.Msg) {
	_, receipts, err := protocol.DecodeAnswer(b.session.Client, m.Data)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range receipts {
		if w := b.waiting[r.Number]; w != nil {
			delete(b.waiting, r.Number)
			w <- r
		}
	}
}

// Call is a caller's.
func (b *credulous) Call(ctx context.Context, input []byte) (client.Output, error) {
	b.mu.Lock()
	number, w := b.next, make(chan host.Receipt, 1)
	b.next++
	b.waiting[number] = w
	b.mu.Unlock()
	batch := host.Batch{Session: b.session, Inputs: []host.Input{{Number: number, Payload: input}}}
	for ctx.Err() == nil {
		_, _ = b.log.Append(ctx, batch.Encode()) // what was not ordered is not answered, and goes again
		select {
		case r := <-w:
			if r.Status == wasmabi.Rejected {
				return client.Output{}, &client.RejectedError{Code: r.Code}
			}
			return client.Output{Bytes: r.Output}, nil
		case <-time.After(client.DefaultRetry):
		case <-ctx.Done():
		}
	}
	return client.Output{}, &client.FailError{Err: ctx.Err()}
}

// With one replica whose memory is flipped again and again, the client that counts votes is told nothing wrong, and one that
// believes a single replica is, which the same checks find.
func TestCredulousClientIsCaught(t *testing.T) {
	tr := start(t, "", 1)
	if err := tr.flips(func() caller { return connect(t, tr.cluster) }); err != nil {
		t.Errorf("the client that counts votes: %v", err)
	}
	// What the first left behind is not the second's: it has a cluster of its own.
	for seed := range uint64(5) {
		tr := start(t, "", seed+2)
		if err := tr.flips(func() caller { return newCredulous(t, tr.cluster) }); err != nil {
			t.Logf("seed %d: caught: %v", seed+2, err)
			return
		}
	}
	t.Error("no check has found anything wrong with a client that believes one replica")
}

// flips flips bits of one replica, time after time, under load, and judges the history.
func (tr *trial) flips(dial func() caller) error {
	t := tr.t
	r := newRecorder()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var done sync.WaitGroup
	for k := range callers {
		c := dial()
		done.Go(func() { r.run(ctx, t, c, uint64(k)) })
	}
	for ctx.Err() == nil {
		tr.pause(ctx, 100, 300)
		tr.cluster.Flip(t, 1, machine, mark, flipAt(tr.random), tr.random.IntN(3))
	}
	done.Wait()
	return judge(r.calls)
}
