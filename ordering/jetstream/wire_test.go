package jetstream

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/ordering"
)

var testRef = Ref{Machine: "m", Epoch: 2}

// Headers as nats-server v2.15.2 writes them: server/stream.go, republish in
// processJetStreamMsg and dgb in getDirectRequest.
const (
	republishHeader = "Nats-Stream: %s\r\nNats-Subject: %s\r\nNats-Sequence: %d\r\nNats-Time-Stamp: %s\r\nNats-Last-Sequence: %d\r\n\r\n"
	batchHeader     = "Nats-Stream: %s\r\nNats-Subject: %s\r\nNats-Sequence: %d\r\nNats-Time-Stamp: %s\r\nNats-Num-Pending: 9\r\nNats-Last-Sequence: %d\r\n\r\n"
)

// serve adds the server's header to a sender's, which may be empty, as the server
// does: over its last two bytes.
func serve(format, sender string, ref Ref, seq uint64, at time.Time) string {
	if sender == "" {
		sender = "NATS/1.0\r\n\r\n"
	}
	return sender[:len(sender)-2] + fmt.Sprintf(format, ref.StreamName(), ref.InputSubject(), seq, at.UTC().Format(time.RFC3339Nano), seq-1)
}

func parseRaw(header string, ref Ref) (ordering.Seq, ordering.Time, bool) {
	h, err := nats.DecodeHeadersMsg([]byte(header))
	if err != nil {
		return 0, 0, false
	}
	return parseHeader(h, len(header), ref)
}

func TestParseHeader(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	forged := serve(republishHeader, "", testRef, 42, time.Unix(1, 0))
	for name, c := range map[string]struct {
		header string
		ok     bool
	}{
		"republished":         {serve(republishHeader, "", testRef, 7, at), true},
		"batch":               {serve(batchHeader, "", testRef, 7, at), true},
		"empty sender header": {serve(batchHeader, "NATS/1.0\r\n\r\n", testRef, 7, at), true},
		"forged in front":     {serve(republishHeader, forged, testRef, 7, at), false},
		"forged, cut short":   {serve(republishHeader, forged+"\r\n", testRef, 7, at), false},
		"forged alone":        {forged + "\r\n", false},
		"other key":           {serve(republishHeader, "NATS/1.0\r\nA: b\r\n\r\n", testRef, 7, at), false},
		"other case":          {serve(republishHeader, "NATS/1.0\r\nnats-sequence: 1\r\n\r\n", testRef, 7, at), false},
		"status":              {serve(republishHeader, "NATS/1.0 404\r\n\r\n", testRef, 7, at), false},
		"swallowed line":      {serve(republishHeader, "NATS/1.0\r\nNats-Stream: LOCKSTEP_m_2\r\n:xx", testRef, 7, at), false},
		"other machine":       {serve(republishHeader, "", Ref{"n", 2}, 7, at), false},
		"other epoch":         {serve(republishHeader, "", Ref{"m", 1}, 7, at), false},
		"sequence 0":          {serve(republishHeader, "", testRef, 0, at), false},
		"no header":           {"NATS/1.0\r\n\r\n", false},
		"status alone":        {"NATS/1.0 404 Message Not Found\r\n\r\n", false},
	} {
		seq, got, ok := parseRaw(c.header, testRef)
		if ok != c.ok || ok && (seq != 7 || got != ordering.Time(at.UnixNano())) {
			t.Errorf("%s: %d, %d, %v, want ok %v", name, seq, got, ok, c.ok)
		}
	}
}

func TestIsStatus(t *testing.T) {
	for header, want := range map[string]bool{
		"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 12\r\n\r\n":              true,
		"NATS/1.0 404 Message Not Found\r\n\r\n":                                                 true,
		"NATS/1.0 503\r\n\r\n":                                                                   true,
		serve(batchHeader, "", testRef, 7, time.Unix(1e9, 0)):                                    false,
		serve(batchHeader, "NATS/1.0 204 EOB\r\n\r\n\r\n", testRef, 7, time.Unix(1e9, 0)):        false,
		serve(batchHeader, "NATS/1.0\r\nStatus: 204\r\n\r\n\r\n", testRef, 7, time.Unix(1e9, 0)): false,
		serve(batchHeader, "NATS/1.0\r\nStatus: 204\r\n\r\n", testRef, 7, time.Unix(1e9, 0)):     false,
		"NATS/1.0\r\nStatus: 204\r\n\r\n":                                                        false,
	} {
		h, err := nats.DecodeHeadersMsg([]byte(header))
		if got := err == nil && isStatus(h, len(header)); got != want {
			t.Errorf("isStatus(%q) = %v, want %v", header, got, want)
		}
	}
}

// FuzzParseHeader sends any bytes as a sender's header: what is taken is what
// the server appended.
func FuzzParseHeader(f *testing.F) {
	forged := serve(republishHeader, "", testRef, 42, time.Unix(1, 0))
	for _, sender := range []string{"", forged, forged + "\r\n", "NATS/1.0\n\n\r\n", "NATS/1.0 404\r\n\r\n",
		"NATS/1.0\r\nStatus: 204\r\n\r\n\r\n",
		"NATS/1.0\r\nNats-Stream:LOCKSTEP_m_2\nNats-Subject:lockstep.m.in.2.input\nNats-Sequence:8\nNats-Time-Stamp:2020-01-01T00:00:00Z\n\n\r\n"} {
		f.Add([]byte(sender), uint64(7), int64(1e18))
	}
	f.Fuzz(func(t *testing.T, sender []byte, seq uint64, nanos int64) {
		if len(sender) < 2 {
			sender = nil
		}
		at := time.Unix(0, nanos)
		if y := at.UTC().Year(); seq == 0 || y < 1970 || y > 9999 {
			return
		}
		for _, format := range []string{republishHeader, batchHeader} {
			gotSeq, gotAt, ok := parseRaw(serve(format, string(sender), testRef, seq, at), testRef)
			if ok && (gotSeq != ordering.Seq(seq) || gotAt != ordering.Time(nanos)) {
				t.Fatalf("header %q made entry %d at %d into %d at %d", sender, seq, nanos, gotSeq, gotAt)
			}
			if h, err := nats.DecodeHeadersMsg([]byte(serve(format, string(sender), testRef, seq, at))); err == nil {
				if isStatus(h, len(serve(format, string(sender), testRef, seq, at))) {
					t.Fatalf("header %q made an entry into a status", sender)
				}
			}
			if len(sender) == 0 && !ok {
				t.Fatal("the server's own header is refused")
			}
		}
	})
}

func FuzzPubAck(f *testing.F) {
	for _, ack := range []string{`{"stream":"LOCKSTEP_m_2","seq":5}`, `{"stream":"x","seq":5}`, `{"stream":"LOCKSTEP_m_2","seq":0}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, `{"error":{}}`, `{`, ``, `null`, `[]`, `{"seq":-1}`} {
		f.Add([]byte(ack))
	}
	a := &Appender{ref: testRef, stream: testRef.StreamName()}
	f.Fuzz(func(t *testing.T, ack []byte) {
		seq, err := a.outcome(&nats.Msg{Data: ack})
		if (err == nil) != (seq > 0) {
			t.Fatalf("acknowledgement %q: %d, %v", ack, seq, err)
		}
	})
}

func TestTail(t *testing.T) {
	e := func(seq ordering.Seq) ordering.Entry { return ordering.Entry{Seq: seq, Data: []byte{byte(seq)}} }
	seqs := func(es []ordering.Entry) (out []ordering.Seq) {
		for _, e := range es {
			out = append(out, e.Seq)
		}
		return out
	}
	tl := newTail()
	for _, seq := range []ordering.Seq{5, 6, 8, 7, 8, 9} { // 8 early: dropped, 7 follows 6
		tl.push(e(seq))
	}
	if !tl.doubt() || tl.doubt() {
		t.Error("a position that came again is to be told once")
	}
	if out, gap := tl.take(3, 10); len(out) > 0 || !gap {
		t.Errorf("take(3) = %v, %v, want a gap", seqs(out), gap)
	}
	if out, _ := tl.take(6, 2); fmt.Sprint(seqs(out)) != "[6 7]" {
		t.Errorf("take(6, 2) = %v, want 6 and 7", seqs(out))
	}
	if out, gap := tl.take(6, 2); len(out) > 0 || !gap {
		t.Errorf("take(6) again = %v, %v, want a gap", seqs(out), gap)
	}
	if out, _ := tl.take(8, 10); fmt.Sprint(seqs(out)) != "[8 9]" {
		t.Errorf("take(8) = %v, want 8 and 9", seqs(out))
	}
	if tl.bytes != 0 {
		t.Errorf("%d bytes are held by an empty tail", tl.bytes)
	}
	if out, gap := tl.take(10, 10); len(out) > 0 || gap {
		t.Errorf("take(10) = %v, %v, want nothing", seqs(out), gap)
	}
	tl.push(e(20))
	if out, gap := tl.take(30, 10); len(out) > 0 || gap || len(tl.run) > 0 {
		t.Errorf("take(30) = %v, %v, want all forgotten", seqs(out), gap)
	}
}

// TestTailIsBounded pushes without end: by count and by size, memory stays bounded and
// what is kept is a run.
func TestTailIsBounded(t *testing.T) {
	for _, size := range []int{0, 1 << 20} {
		tl := newTail()
		data := make([]byte, size)
		for seq := range ordering.Seq(2 * tailEntries) {
			tl.push(ordering.Entry{Seq: seq + 1, Data: data})
		}
		if len(tl.run) == 0 || len(tl.run) > tailEntries || tl.bytes > tailBytes {
			t.Errorf("entries of %d bytes: %d kept, %d bytes", size, len(tl.run), tl.bytes)
		}
		for i, e := range tl.run {
			if e.Seq != ordering.Seq(i+1) {
				t.Fatalf("entry %d of the run is %d", i, e.Seq)
			}
		}
	}
}

// A server that knows the log is believed, however much faster others say that there is none.
func TestRequestBelievesWhoKnows(t *testing.T) {
	s, err := server.NewServer(&server.Options{ServerName: "test", DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	connect := func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(s))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	nc, others := connect(), connect()
	var known atomic.Bool
	known.Store(true)
	_, err = others.Subscribe("$JS.API.STREAM.INFO."+testRef.StreamName(), func(m *nats.Msg) {
		for range 2 {
			_ = m.Respond([]byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
		}
		if known.Load() {
			_ = m.Respond([]byte(`{"state":{"first_seq":5,"last_seq":9}}`))
		}
	})
	if err == nil {
		err = others.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{nc: nc, ref: testRef}
	in, err := l.info(t.Context())
	if err != nil || in.State.LastSeq != 9 {
		t.Errorf("got %+v, %v, want the log that one knows", in, err)
	}
	known.Store(false)
	if _, err := l.info(t.Context()); !hasCode(err, codeStreamNotFound) {
		t.Errorf("where nobody knows it: %v", err)
	}
}
