package client_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/client"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Connect(within(t, patience), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// deafLog takes entries and acknowledges them with a seq, or not if it is 0; nobody reads it.
type deafLog struct {
	seq  ordering.Seq
	sent chan struct{}
}

func (l *deafLog) Append(ctx context.Context, _ []byte) (ordering.Seq, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (l *deafLog) AppendAsync(_ []byte, done func(ordering.Seq, error)) error {
	if l.seq > 0 {
		done(l.seq, nil)
	}
	l.sent <- struct{}{}
	return nil
}

func (l *deafLog) Close() error { return nil }

// A call whose context ends says what is known of its input: nothing was sent, it was
// sent, or the log has it, and where.
func TestFateOfACall(t *testing.T) {
	urls := deployed("fate")
	for _, test := range []struct {
		ack  ordering.Seq
		fate client.Fate
	}{{0, client.MaybeOrdered}, {41, client.Ordered}} {
		log := &deafLog{seq: test.ack, sent: make(chan struct{}, 64)}
		c := connect(t, client.Options{Machine: "fate", URLs: urls, Retry: time.Hour, Window: 1,
			OpenLog: func(ordering.Epoch) (client.Log, error) { return log, nil }})
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := c.Call(ctx, add(1))
			failed <- err
		}()
		<-log.sent
		// Behind it, in a window of one, another one waits and is never sent.
		waits, err := c.CallAsync(add(1))
		if err != nil {
			t.Fatal(err)
		}
		expired, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer stop()
		var fail *client.FailError
		if _, err := waits.Wait(expired); !errors.As(err, &fail) || fail.Fate != client.Unsent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that was not sent: %v", err)
		}
		cancel()
		if err := <-failed; !errors.As(err, &fail) || fail.Fate != test.fate || fail.Seq != test.ack || !errors.Is(err, context.Canceled) {
			t.Errorf("acknowledged at %d: %v, want fate %d", test.ack, err, test.fate)
		}
	}
}

// Calls to a machine that is not deployed are refused without being sent, in whichever way
// they are made; a DEPLOY behind them goes, and so do calls behind that.
func TestCallsBeforeDeploy(t *testing.T) {
	urls := deployed("early") // for the servers
	if err := shared.cluster.Host(within(t, patience), "none"); err != nil {
		t.Fatal(err)
	}
	log := &deafLog{sent: make(chan struct{}, 64)}
	c := connect(t, client.Options{Machine: "none", URLs: urls, OpenLog: func(ordering.Epoch) (client.Log, error) { return log, nil }})
	var pending []*client.Pending
	for range 3 {
		p, err := c.CallAsync(add(1))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	_, err := c.Call(within(t, patience), add(1))
	refused := func(err error) bool {
		var r *client.RefusedError
		return errors.As(err, &r) && r.Refusal == host.RefusedNotDeployed
	}
	if !refused(err) {
		t.Errorf("call: %v", err)
	}
	for i, p := range pending {
		if _, err := p.Wait(within(t, patience)); !refused(err) {
			t.Errorf("asynchronous call %d: %v", i, err)
		}
	}
	if len(log.sent) != 0 {
		t.Errorf("%d entries were sent", len(log.sent))
	}

	c = connect(t, client.Options{Machine: "none", URLs: urls})
	if err := deploy(within(t, patience), "none"); err != nil {
		t.Fatal(err)
	}
	p, err := c.CallAsync(add(2))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := p.Wait(within(t, patience)); err != nil || number(out.Bytes) != 2 {
		t.Errorf("asynchronous call of a client that came before DEPLOY: %x, %v", out.Bytes, err)
	}
}

// A call that is made again after its receipt was forgotten is a typed error, and is not
// applied again.
func TestRetryThatComesTooLate(t *testing.T) {
	urls := deployed("late")
	var kept []byte
	o := client.Options{Machine: "late", URLs: urls, Save: func(s []byte) error {
		if kept == nil {
			kept = s // of the first call, open
		}
		return nil
	}}
	c := connect(t, o)
	for range 3 { // each tells the replicas that what was before it is done
		if _, err := c.Call(within(t, patience), add(2)); err != nil {
			t.Fatal(err)
		}
	}
	o.Session, o.Save = kept, nil
	again := connect(t, o)
	if len(again.Resumed()) != 1 {
		t.Fatalf("resumed %d calls, want the first", len(again.Resumed()))
	}
	var refused *client.RefusedError
	if _, err := again.Resumed()[0].Wait(within(t, patience)); !errors.As(err, &refused) || refused.Refusal != host.RefusedTooLate {
		t.Errorf("the call that is made again: %v, want %v", err, host.RefusedTooLate)
	}
	if out, err := connect(t, client.Options{Machine: "late", URLs: urls}).Query(within(t, patience), get(), client.Voted); err != nil || number(out.Bytes) != 6 {
		t.Errorf("counter is %x, %v, want 6", out.Bytes, err)
	}
}

// Reads that come at once share few questions to the replicas, and none touches the log.
func TestReadsShareQuestions(t *testing.T) {
	const readers = 300
	urls := deployed("reads")
	c := connect(t, client.Options{Machine: "reads", URLs: urls})
	if _, err := c.Call(within(t, patience), add(7)); err != nil {
		t.Fatal(err)
	}
	state := func() ordering.State {
		s, err := shared.cluster.Node(0).Replica("reads").LogState(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	conn, err := nats.Connect(urls[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var questions, toLog atomic.Int64
	count := func(subject string, n *atomic.Int64) {
		if _, err := conn.Subscribe(subject, func(*nats.Msg) { n.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	count(protocol.QuerySubject("reads"), &questions)
	count("lockstep.reads.in.>", &toLog)
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []client.Mode{client.Linearizable, client.Voted} {
		questions.Store(0)
		start := make(chan struct{})
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				<-start
				out, err := c.Query(within(t, patience), get(), mode)
				if err != nil || number(out.Bytes) != 7 {
					t.Errorf("%v: read %x, %v", mode, out.Bytes, err)
				}
			})
		}
		close(start)
		all.Wait()
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		if n := questions.Load(); n == 0 || n > readers/6 {
			t.Errorf("%d %v reads took %d questions", readers, mode, n)
		}
	}
	if after := state(); toLog.Load() > 0 || after.Last != before.Last {
		t.Errorf("reads sent %d messages to the log, which went from %d to %d", toLog.Load(), before.Last, after.Last)
	}
}

// A client that is closed leaves nothing behind, whatever was under way.
func TestCloseEndsEverything(t *testing.T) {
	urls := deployed("closed")
	c, err := client.Connect(within(t, patience), client.Options{Machine: "closed", URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Subscribe(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 64)
	go func() {
		_, err := s.Next(t.Context())
		ended <- err
	}()
	n := 1
	for range 20 {
		n += 2
		go func() {
			_, err := c.Call(t.Context(), add(0))
			ended <- err
		}()
		go func() {
			_, err := c.Query(t.Context(), get(), client.Linearizable)
			ended <- err
		}()
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for range n {
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, client.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(patience):
			t.Fatal("something still waits on a closed client")
		}
	}
	if _, err := c.Call(t.Context(), add(0)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("call: %v", err)
	}
	if _, err := c.Query(t.Context(), get(), client.Stale); !errors.Is(err, client.ErrClosed) {
		t.Errorf("query: %v", err)
	}
	if _, err := c.Subscribe(t.Context(), 0); !errors.Is(err, client.ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
}
