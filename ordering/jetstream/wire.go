package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
)

// Headers that the server appends.
const (
	hdrStream       = "Nats-Stream"
	hdrSubject      = "Nats-Subject"
	hdrSequence     = "Nats-Sequence"
	hdrTimeStamp    = "Nats-Time-Stamp"
	hdrLastSequence = "Nats-Last-Sequence"
	hdrNumPending   = "Nats-Num-Pending"
	hdrExpectedLast = "Nats-Expected-Last-Sequence"

	// What the client library makes of the first line.
	hdrStatus      = "Status"
	hdrDescription = "Description"
)

// parseEntry reads an entry from a republished message or an answer to a direct
// get. It answers false unless parseHeader takes the header.
func parseEntry(m *nats.Msg, ref Ref) (ordering.Entry, bool) {
	seq, at, ok := parseHeader(m.Header, headerSize(m), ref)
	if !ok {
		return ordering.Entry{}, false
	}
	e := ref.entry(m.Header.Get(hdrSubject), ordering.Entry{Epoch: ref.Epoch, Seq: seq, Time: at, Data: m.Data})
	return e, len(e.Data) <= ordering.MaxEntry
}

// parseHeader reads position and time from a header of size bytes. It
// answers false unless it is one that the server writes over a message without
// a header: these keys, each once, and not a byte more. A sender's header comes before
// what the server appends. So it makes a key appear twice, or adds one, or, if it
// makes the parser stop before the server's part, leaves bytes over that
// no spelling of a few short lines makes up for.
func parseHeader(h nats.Header, size int, ref Ref) (seq ordering.Seq, at ordering.Time, ok bool) {
	size -= len("NATS/1.0\r\n") + len("\r\n")
	for key, values := range h {
		switch key {
		case hdrStream, hdrSubject, hdrSequence, hdrTimeStamp, hdrLastSequence, hdrNumPending:
		case hdrExpectedLast: // of a replica that seeds; nobody else may publish there
			if !ref.isSeed(h.Get(hdrSubject)) {
				return 0, 0, false
			}
		default:
			return 0, 0, false
		}
		if len(values) != 1 {
			return 0, 0, false
		}
		size -= len(key) + len(": ") + len(values[0]) + len("\r\n")
	}
	if size != 0 || h.Get(hdrStream) != ref.StreamName() || !ref.carries(h.Get(hdrSubject)) {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(h.Get(hdrSequence), 10, 64)
	if err != nil || n == 0 {
		return 0, 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, h.Get(hdrTimeStamp))
	if err != nil {
		return 0, 0, false
	}
	return ordering.Seq(n), ordering.Time(t.UnixNano()), true
}

// headerSize is the size of the header on the wire.
func headerSize(m *nats.Msg) int { return m.Size() - len(m.Subject) - len(m.Reply) - len(m.Data) }

// isStatus says whether a header of size bytes is the server's word that a batch has
// ended, or that there is nothing. As in parseHeader, a sender's header
// cannot be that long: the server's part would have to be in it.
func isStatus(h nats.Header, size int) bool {
	if h.Get(hdrStatus) == "" {
		return false
	}
	size -= len("NATS/1.0 ") + len("\r\n") + len("\r\n")
	for key, values := range h {
		if len(values) != 1 {
			return false
		}
		switch key {
		case hdrStatus:
			size -= len(values[0])
		case hdrDescription:
			size -= len(" ") + len(values[0])
		case hdrNumPending, hdrLastSequence:
			size -= len(key) + len(": ") + len(values[0]) + len("\r\n")
		default:
			return false
		}
	}
	return size == 0
}

// getBatch asks any server for up to n entries from position from on. It returns
// those that came before the end of the answer, in the server's order, without the ones
// that parseEntry refuses, whose presence it reports. An empty answer means
// nothing.
func (l *Log) getBatch(ctx context.Context, from ordering.Seq, n int) (got []ordering.Entry, refused bool, err error) {
	req, err := json.Marshal(struct {
		Seq      uint64 `json:"seq"`
		Batch    int    `json:"batch"`
		MaxBytes int    `json:"max_bytes"`
	}{uint64(from), n, batchBytes})
	if err != nil {
		return nil, false, fmt.Errorf("encode batch request: %w", err)
	}
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, fmt.Errorf("subscribe to batch: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(n+16, 4*batchBytes); err != nil {
		return nil, false, fmt.Errorf("subscribe to batch: %w", err)
	}
	if err := l.nc.PublishRequest("$JS.API.DIRECT.GET."+l.ref.StreamName(), inbox, req); err != nil {
		return nil, false, fmt.Errorf("request batch: %w", err)
	}
	for len(got) <= n {
		m, err := nextMsg(ctx, sub)
		if err != nil {
			return got, refused, fmt.Errorf("read batch: %w", err)
		}
		if isStatus(m.Header, headerSize(m)) {
			return got, refused, nil
		}
		if e, ok := parseEntry(m, l.ref); ok && e.Seq >= from && (len(got) == 0 || e.Seq > got[len(got)-1].Seq) {
			got = append(got, e)
		} else {
			refused = true
		}
	}
	return got, refused, nil
}

// nextMsg waits for the next part of an answer, which is never far behind the last.
func nextMsg(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// request asks the JetStream API and decodes the answer into out.
func (l *Log) request(ctx context.Context, call string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", call, err)
	}
	subject := "$JS.API." + call + "." + l.ref.StreamName()
	m, err := l.nc.RequestWithContext(ctx, subject, req)
	if err != nil {
		return fmt.Errorf("request %s: %w", call, err)
	}
	if err = decodeReply(m.Data, out); hasCode(err, codeStreamNotFound) {
		err = l.askAll(ctx, subject, req, out, err)
	}
	if err != nil {
		return fmt.Errorf("request %s: %w", call, err)
	}
	return nil
}

// decodeReply takes what JetStream answers, if only an error.
func decodeReply(data []byte, out any) error {
	var failed struct {
		Error *apiError `json:"error"`
	}
	err := json.Unmarshal(data, &failed)
	if err == nil && failed.Error != nil {
		return failed.Error
	}
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// knownWait is how long a server that knows a log is waited for once another one has said that there is none.
const knownWait = 150 * time.Millisecond

// askAll asks again and hears everybody who answers. Two servers may both believe to lead those that elect, as where a majority was
// given up for lost and has come back, and the one that does not know a log is not to be believed because it is faster. missing is
// what to say if nobody knows it.
func (l *Log) askAll(ctx context.Context, subject string, req []byte, out any, missing error) error {
	inbox := l.nc.NewRespInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := l.nc.PublishRequest(subject, inbox, req); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, knownWait)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return missing
		}
		if err := decodeReply(m.Data, out); err == nil {
			return nil
		}
	}
}

// hasCode says whether err is JetStream's error of that number.
func hasCode(err error, code int) bool {
	var e *apiError
	return errors.As(err, &e) && e.ErrCode == code
}

// getOne asks the stream's leader for one entry. The answer has the sender's
// header in a field of its own. A leader that does not have it answers codeNoMessage.
func (l *Log) getOne(ctx context.Context, seq ordering.Seq) (ordering.Entry, error) {
	in := struct {
		Seq uint64 `json:"seq"`
	}{uint64(seq)}
	var out struct {
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := l.request(ctx, "STREAM.MSG.GET", in, &out); err != nil {
		return ordering.Entry{}, err
	}
	if out.Message == nil || out.Message.Seq != uint64(seq) || !l.ref.carries(out.Message.Subject) {
		return ordering.Entry{}, fmt.Errorf("request STREAM.MSG.GET: answer is not the entry at %d", seq)
	}
	m := out.Message
	return l.ref.entry(m.Subject, ordering.Entry{Epoch: l.ref.Epoch, Seq: seq, Time: ordering.Time(m.Time.UnixNano()), Data: m.Data}), nil
}

// info is what the stream's leader says of it.
type info struct {
	Config njs.StreamConfig `json:"config"`
	State  struct {
		Bytes    uint64 `json:"bytes"`
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
	} `json:"state"`
}

func (l *Log) info(ctx context.Context) (*info, error) {
	var out info
	if err := l.request(ctx, "STREAM.INFO", struct{}{}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
