package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

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
)

// parseEntry reads an entry from a republished message or an answer to a direct
// get. It answers false unless the header is exactly one that the server
// writes over a message without a header: these keys, each once, and not a byte more. Whatever the
// sender puts into a header makes it longer, or is seen.
func parseEntry(m *nats.Msg, ref Ref) (ordering.Entry, bool) {
	var zero ordering.Entry
	size := len("NATS/1.0\r\n") + len("\r\n")
	for key, values := range m.Header {
		switch key {
		case hdrStream, hdrSubject, hdrSequence, hdrTimeStamp, hdrLastSequence, hdrNumPending:
		default:
			return zero, false
		}
		if len(values) != 1 {
			return zero, false
		}
		size += len(key) + len(": ") + len(values[0]) + len("\r\n")
	}
	if size != m.Size()-len(m.Subject)-len(m.Reply)-len(m.Data) {
		return zero, false // the parser stopped before the header's end
	}
	if m.Header.Get(hdrStream) != ref.StreamName() || m.Header.Get(hdrSubject) != ref.InputSubject() {
		return zero, false
	}
	seq, err := strconv.ParseUint(m.Header.Get(hdrSequence), 10, 64)
	if err != nil || seq == 0 || len(m.Data) > ordering.MaxEntry {
		return zero, false
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(hdrTimeStamp))
	if err != nil {
		return zero, false
	}
	return ordering.Entry{Epoch: ref.Epoch, Seq: ordering.Seq(seq), Time: ordering.Time(at.UnixNano()), Data: m.Data}, true
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
		// A sender may forge a status, but then the server adds a sequence.
		if m.Header.Get("Status") != "" && len(m.Header[hdrSequence]) == 0 {
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
	m, err := l.nc.RequestWithContext(ctx, "$JS.API."+call+"."+l.ref.StreamName(), req)
	if err != nil {
		return fmt.Errorf("request %s: %w", call, err)
	}
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return fmt.Errorf("decode %s: %w", call, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("request %s: %w", call, failed.Error)
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return fmt.Errorf("decode %s: %w", call, err)
	}
	return nil
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
	if out.Message == nil || out.Message.Seq != uint64(seq) || out.Message.Subject != l.ref.InputSubject() {
		return ordering.Entry{}, fmt.Errorf("request STREAM.MSG.GET: answer is not the entry at %d", seq)
	}
	m := out.Message
	return ordering.Entry{Epoch: l.ref.Epoch, Seq: seq, Time: ordering.Time(m.Time.UnixNano()), Data: m.Data}, nil
}

// info is what the stream's leader says of it.
type info struct {
	Config struct {
		Metadata map[string]string `json:"metadata"`
	} `json:"config"`
	State struct {
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
