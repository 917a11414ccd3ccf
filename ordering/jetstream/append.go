package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering"
)

// Limits of an Appender.
const (
	MaxInFlight = 8192            // entries without an acknowledgement
	AckTimeout  = 5 * time.Second // after which AppendAsync reports ErrNoAck
)

// Errors of Append and AppendAsync besides those of package ordering.
var (
	// ErrNoAck says that the outcome is unknown.
	ErrNoAck = errors.New("no acknowledgement")
	// ErrNoLeader says that the log has no leader at this moment; the entry
	// was not ordered.
	ErrNoLeader = errors.New("log has no leader")
	// ErrBusy says that MaxInFlight entries wait already; nothing was sent.
	ErrBusy = errors.New("too many entries in flight")
)

// Appender puts entries into a log. It needs no permission but to publish to the
// input subject, and for control inputs to theirs, and to subscribe to the connection's inbox.
type Appender struct {
	nc      *nats.Conn
	ref     Ref
	stream  string
	inbox   string // replies go to inbox + token
	sub     *nats.Subscription
	slots   chan struct{}
	closed  chan struct{}
	onBreak func(*ordering.BreakError) // may be nil

	mu      sync.Mutex
	pending map[uint64]*flight
	next    uint64
	oldest  uint64 // no token below waits
	sweep   *time.Timer
	floor   ordering.Seq // an entry sent now comes after this one
}

// flight is one entry that waits for its acknowledgement.
type flight struct {
	done     func(ordering.Seq, error)
	floor    ordering.Seq
	deadline time.Time
}

// NewAppender subscribes to acknowledgements. It does not look whether the log
// exists: without it, appends fail with ErrNoLeader.
func NewAppender(nc *nats.Conn, ref Ref) (*Appender, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	a := &Appender{
		nc: nc, ref: ref, stream: ref.StreamName(),
		inbox:   nc.NewInbox() + ".",
		slots:   make(chan struct{}, MaxInFlight),
		closed:  make(chan struct{}),
		pending: make(map[uint64]*flight),
	}
	sub, err := nc.Subscribe(a.inbox+"*", a.acked)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements of %s: %w", ref, err)
	}
	if err := sub.SetPendingLimits(2*MaxInFlight, 64<<20); err != nil {
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("subscribe to acknowledgements of %s: %w", ref, err)
	}
	a.sub = sub
	return a, nil
}

// Append is ordering.Log's.
func (a *Appender) Append(ctx context.Context, data []byte) (ordering.Seq, error) {
	if len(data) > ordering.MaxEntry {
		return 0, ordering.ErrTooLarge
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("append to %s: %w", a.ref, ctx.Err())
	case <-a.closed:
		return 0, ordering.ErrClosed
	}
	type outcome struct {
		seq ordering.Seq
		err error
	}
	out := make(chan outcome, 1)
	token, err := a.send(data, func(seq ordering.Seq, err error) { out <- outcome{seq, err} })
	if err != nil {
		return 0, err
	}
	select {
	case o := <-out:
		return o.seq, o.err
	case <-ctx.Done():
		if a.take(token) == nil {
			o := <-out // it came at the same moment
			return o.seq, o.err
		}
		return 0, fmt.Errorf("append to %s: %w: %w", a.ref, ErrNoAck, ctx.Err())
	}
}

// AppendAsync sends an entry and calls done once with its position or the reason why
// there is none, at the latest after AckTimeout, from a goroutine of the Appender
// that it must not hold up. An error that is returned says that nothing was sent
// and done is not called.
func (a *Appender) AppendAsync(data []byte, done func(ordering.Seq, error)) error {
	if len(data) > ordering.MaxEntry {
		return ordering.ErrTooLarge
	}
	select {
	case <-a.closed:
		return ordering.ErrClosed
	default:
	}
	select {
	case a.slots <- struct{}{}:
	default:
		return ErrBusy
	}
	_, err := a.send(data, done)
	return err
}

// send publishes with a slot taken, which it gives back on an error.
func (a *Appender) send(data []byte, done func(ordering.Seq, error)) (token uint64, err error) {
	a.mu.Lock()
	if a.pending == nil {
		a.mu.Unlock()
		<-a.slots
		return 0, ordering.ErrClosed
	}
	a.next++
	token = a.next
	a.pending[token] = &flight{done: done, floor: a.floor, deadline: time.Now().Add(AckTimeout)}
	if a.sweep == nil {
		a.sweep = time.AfterFunc(AckTimeout, a.expire)
	}
	a.mu.Unlock()

	err = a.nc.PublishRequest(a.ref.subjectOf(data), a.inbox+strconv.FormatUint(token, 36), data)
	if err != nil && a.take(token) != nil {
		if errors.Is(err, nats.ErrMaxPayload) {
			return 0, fmt.Errorf("append to %s: %w: server takes %d", a.ref, ordering.ErrTooLarge, a.nc.MaxPayload())
		}
		return 0, fmt.Errorf("append to %s: %w", a.ref, err)
	}
	return token, nil
}

// take ends the wait for a token. It returns nil if another has.
func (a *Appender) take(token uint64) *flight {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.pending[token]
	if f != nil {
		delete(a.pending, token)
		<-a.slots
	}
	return f
}

// acked handles one reply.
func (a *Appender) acked(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.inbox), 36, 64)
	if err != nil {
		return
	}
	f := a.take(token)
	if f == nil {
		return
	}
	seq, err := a.outcome(m)
	if err == nil && seq <= f.floor {
		br := &ordering.BreakError{Epoch: a.ref.Epoch, Seq: seq,
			Reason: fmt.Sprintf("position was given out again after %d had been read", f.floor)}
		if a.onBreak != nil {
			a.onBreak(br)
		}
		err = br
	}
	if err != nil {
		seq = 0
	}
	f.done(seq, err)
}

// pubAck is JetStream's answer to a publish.
type pubAck struct {
	Stream string    `json:"stream"`
	Seq    uint64    `json:"seq"`
	Error  *apiError `json:"error"`
}

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// JetStream's error codes that stand for something here.
const (
	codeAccountResources = 10002
	codeNoPeers          = 10005
	codeNoLeader         = 10008 // of the servers
	codeResources        = 10023
	codeNoMessage        = 10037
	codeStorage          = 10047
	codeStoreBusy        = 10049 // the store cannot be made
	codeTooLarge         = 10054
	codeWrongLast        = 10071
	codeStreamNotFound   = 10059
	codeStoreFailed      = 10077
	codeTooManyRequests  = 10167
)

func (a *Appender) outcome(m *nats.Msg) (ordering.Seq, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, fmt.Errorf("append to %s: %w", a.ref, ErrNoLeader)
	}
	var ack pubAck
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("append to %s: parse acknowledgement: %w", a.ref, err)
	}
	if ack.Error != nil {
		switch code := ack.Error.ErrCode; {
		case code == codeAccountResources, code == codeResources, code == codeStorage:
			return 0, fmt.Errorf("append to %s: %w: the disks of its servers have no room, see 'lockstep status': %w", a.ref, ordering.ErrFull, ack.Error)
		case code == codeStoreFailed && strings.HasPrefix(ack.Error.Description, "maximum "):
			return 0, fmt.Errorf("append to %s: %w: %w", a.ref, ordering.ErrFull, ack.Error)
		case code == codeTooLarge:
			return 0, fmt.Errorf("append to %s: %w: %w", a.ref, ordering.ErrTooLarge, ack.Error)
		case code == codeTooManyRequests:
			return 0, fmt.Errorf("append to %s: %w: %w", a.ref, ErrBusy, ack.Error)
		}
		return 0, fmt.Errorf("append to %s: %w", a.ref, ack.Error)
	}
	if ack.Stream != a.stream || ack.Seq == 0 {
		return 0, fmt.Errorf("append to %s: acknowledged by stream %.64q at %d", a.ref, ack.Stream, ack.Seq)
	}
	return ordering.Seq(ack.Seq), nil
}

// expire ends the waits whose time is over. Tokens were given out in the order
// of their deadlines.
func (a *Appender) expire() {
	var over []*flight
	now := time.Now()
	a.mu.Lock()
	for a.oldest <= a.next {
		f := a.pending[a.oldest]
		if f != nil && f.deadline.After(now) {
			break
		}
		if f != nil {
			delete(a.pending, a.oldest)
			<-a.slots
			over = append(over, f)
		}
		a.oldest++
	}
	switch f := a.pending[a.oldest]; {
	case a.pending == nil:
	case f != nil:
		a.sweep.Reset(f.deadline.Sub(now))
	default:
		a.sweep = nil
	}
	a.mu.Unlock()
	for _, f := range over {
		f.done(0, fmt.Errorf("append to %s: %w within %v", a.ref, ErrNoAck, AckTimeout))
	}
}

// setFloor tells that the entry at seq has been read.
func (a *Appender) setFloor(seq ordering.Seq) {
	a.mu.Lock()
	a.floor = max(a.floor, seq)
	a.mu.Unlock()
}

// Close ends what waits with ErrClosed. It may be called more than once.
func (a *Appender) Close() error {
	a.mu.Lock()
	over := a.pending
	a.pending = nil
	if over != nil {
		close(a.closed)
		if a.sweep != nil {
			a.sweep.Stop()
		}
	}
	a.mu.Unlock()
	if over == nil {
		return nil
	}
	err := a.sub.Unsubscribe()
	for _, f := range over {
		<-a.slots
		f.done(0, fmt.Errorf("append to %s: %w", a.ref, ordering.ErrClosed))
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("close appender of %s: %w", a.ref, err)
	}
	return nil
}
