package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering"
)

// Options of Open. The zero value is right for most.
type Options struct {
	// ID is the identity that Create returned. If it is set, a stream with
	// another one is a break.
	ID string
	// ConfirmBreak is for how long the leader has to repeat that entries are
	// gone until it is believed. It must exceed the time for which a leader that was
	// cut off goes on believing to lead. 0 means 12 s, which fits servers with NATS's
	// own timers; see embedded.ConfirmBreak for the others.
	ConfirmBreak time.Duration
}

// DefaultConfirmBreak is Options.ConfirmBreak where it is not set.
const DefaultConfirmBreak = 12 * time.Second

const (
	openWait       = 10 * time.Second
	requestTimeout = 2 * time.Second
	batchEntries   = 1024
	batchBytes     = 4 << 20

	// Without news the log is asked whether there are any: soon after the last
	// entry, when a republished one may be lost, then more and more seldom.
	idleMin = 25 * time.Millisecond
	idleMax = time.Second
	// While an entry that should be there cannot be had, it is asked for more often.
	retryMax = 100 * time.Millisecond
)

// Log is an ordering.Log over a JetStream stream. The fast path serves one
// reader; several on one Log are correct and slower.
type Log struct {
	*Appender
	nc      *nats.Conn
	ref     Ref
	id      string
	confirm time.Duration
	tail    *tail
	sub     *nats.Subscription

	mu         sync.Mutex
	anchor     anchor // the last one that was handed out
	live       bool   // there was nothing after it
	reconnects uint64
	suspect    suspicion
	doubted    bool // the leader does not have what was handed out last, see watch
	broken     *ordering.BreakError
}

// Open connects to a log that exists; ErrNotFound otherwise, and an *UnsafeError if its stream would lose
// entries in ordinary service. It goes on trying for some seconds
// while the log has no leader. The connection stays the caller's and must outlive
// the Log.
func Open(ctx context.Context, nc *nats.Conn, ref Ref, o Options) (*Log, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	if o.ConfirmBreak == 0 {
		o.ConfirmBreak = DefaultConfirmBreak
	}
	l := &Log{nc: nc, ref: ref, id: o.ID, confirm: o.ConfirmBreak, tail: newTail(), reconnects: nc.Stats().Reconnects}
	in, err := l.firstInfo(ctx)
	if hasCode(err, codeStreamNotFound) {
		return nil, fmt.Errorf("open log %s: %w", ref, ordering.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", ref, err)
	}
	if l.id == "" {
		l.id = in.Config.Metadata[metaID]
	}
	if l.id == "" {
		return nil, fmt.Errorf("open log %s: stream %s was not made by Create", ref, ref.StreamName())
	}
	if br := l.identify(in); br != nil {
		return nil, fmt.Errorf("open log %s: %w", ref, br)
	}
	if err := fatal(ref, CheckStream(ref, in.Config)); err != nil {
		return nil, fmt.Errorf("open log %s: %w", ref, err)
	}
	if l.Appender, err = NewAppender(nc, ref); err != nil {
		return nil, fmt.Errorf("open log %s: %w", ref, err)
	}
	l.onBreak = func(br *ordering.BreakError) { _ = l.fail(br) }
	l.sub, err = nc.Subscribe(ref.RepublishSubject(), l.republished)
	if err == nil {
		err = l.sub.SetPendingLimits(2*tailEntries, 2*tailBytes)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("open log %s: subscribe: %w", ref, err)
	}
	go l.watch()
	return l, nil
}

// firstInfo asks until somebody answers, if only with an error.
func (l *Log) firstInfo(ctx context.Context) (*info, error) {
	deadline := time.Now().Add(openWait)
	for {
		in, err := l.info(ctx)
		if err == nil || errors.As(err, new(*apiError)) || time.Now().After(deadline) {
			return in, err
		}
		select {
		case <-time.After(retryMax): // there may have been no responder
		case <-ctx.Done():
			return nil, err
		}
	}
}

// ID returns the identity of the stream.
func (l *Log) ID() string { return l.id }

// republished handles one message on the fast path. A message that is not taken wakes the
// reader all the same, who then fetches it.
func (l *Log) republished(m *nats.Msg) {
	if e, ok := parseEntry(m, l.ref); ok {
		l.tail.push(e)
		return
	}
	l.mu.Lock()
	l.live = false
	l.mu.Unlock()
	l.tail.signal()
}

// State is ordering.Log's.
func (l *Log) State(ctx context.Context) (ordering.State, error) {
	if l.isClosed() {
		return ordering.State{}, ordering.ErrClosed
	}
	in, err := l.info(ctx)
	if err == nil {
		if br := l.identify(in); br != nil {
			err = l.fail(br)
		}
	}
	if hasCode(err, codeStreamNotFound) {
		err = ordering.ErrNotFound
	}
	if err != nil {
		return ordering.State{}, fmt.Errorf("read state of log %s: %w", l.ref, err)
	}
	return in.state(l.ref), nil
}

func (in *info) state(ref Ref) ordering.State {
	first, last := in.State.FirstSeq, in.State.LastSeq
	if first == 0 { // JetStream's word for a stream that was never written to
		first = last + 1
	}
	return ordering.State{Epoch: ref.Epoch, First: ordering.Seq(first), Last: ordering.Seq(last), Bytes: in.State.Bytes,
		MaxBytes: uint64(max(in.Config.MaxBytes, 0)), Founding: !slices.Contains(in.Config.Subjects, ref.InputSubject())}
}

// Truncate is ordering.Log's. A purge beyond the last entry would move the
// numbers of those to come, so the newest entry always stays.
func (l *Log) Truncate(ctx context.Context, first ordering.Seq) error {
	s, err := l.State(ctx)
	if err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	if first = min(first, s.Last); first <= s.First {
		return nil
	}
	in := struct {
		Seq uint64 `json:"seq"`
	}{uint64(first)}
	if err := l.request(ctx, "STREAM.PURGE", in, &struct{}{}); err != nil {
		return fmt.Errorf("truncate log %s: %w", l.ref, err)
	}
	return nil
}

// Close is ordering.Log's.
func (l *Log) Close() error {
	err := l.Appender.Close()
	if l.sub != nil {
		if e := l.sub.Unsubscribe(); e != nil && !errors.Is(e, nats.ErrConnectionClosed) && !errors.Is(e, nats.ErrBadSubscription) {
			err = errors.Join(err, fmt.Errorf("close log %s: %w", l.ref, e))
		}
	}
	return err
}

func (a *Appender) isClosed() bool {
	select {
	case <-a.closed:
		return true
	default:
		return false
	}
}
