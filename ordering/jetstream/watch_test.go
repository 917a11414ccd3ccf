package jetstream

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/ordering"
)

// split is a log whose servers went separate ways: what answers direct gets has 20 entries, and the leader
// lost those after the tenth.
type split struct {
	t       *testing.T
	ref     Ref
	raw     net.Conn
	entries []ordering.Entry
	leader  []ordering.Entry
}

func newSplit(t *testing.T, leader func([]ordering.Entry) []ordering.Entry) (*split, *Log) {
	t.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "split", DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	f := &split{t: t, ref: Ref{Machine: "m", Epoch: 1}}
	for i := range 20 {
		f.entries = append(f.entries, ordering.Entry{Epoch: 1, Seq: ordering.Seq(i + 1), Time: ordering.Time(1e18 + i), Data: fmt.Append(nil, "entry ", i)})
	}
	f.leader = leader(f.entries)
	if f.raw, err = s.InProcessConn(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.raw.Close() })
	go func() {
		for in := bufio.NewScanner(f.raw); in.Scan(); {
			if in.Text() == "PING" {
				f.say("PONG\r\n")
			}
		}
	}()
	f.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n")
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	for call, answer := range map[string]func(*nats.Msg){"DIRECT.GET": f.direct, "STREAM.INFO": f.info, "STREAM.MSG.GET": f.get} {
		if _, err := conn.Subscribe("$JS.API."+call+"."+f.ref.StreamName(), answer); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(t.Context(), conn, f.ref, Options{ConfirmBreak: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return f, l
}

func (f *split) say(s string) { _, _ = f.raw.Write([]byte(s)) } // whoever waits for it finds out

func (f *split) answer(m *nats.Msg, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		f.t.Error(err)
	}
	_ = m.Respond(b)
}

func (f *split) hpub(to, header, data string) {
	f.say(fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", to, len(header), len(header)+len(data), header, data))
}

// direct answers as any server.
func (f *split) direct(m *nats.Msg) {
	var ask struct{ Seq ordering.Seq }
	if err := json.Unmarshal(m.Data, &ask); err != nil {
		f.t.Error(err)
	}
	for _, e := range f.entries {
		if e.Seq >= ask.Seq {
			f.hpub(m.Reply, serve(batchHeader, "", f.ref, uint64(e.Seq), time.Unix(0, int64(e.Time))), string(e.Data))
		}
	}
	f.hpub(m.Reply, "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 20\r\n\r\n", "")
}

func (f *split) info(m *nats.Msg) {
	c := Config{Ref: f.ref}.stream()
	c.Metadata[metaID] = "id"
	f.answer(m, map[string]any{"config": c, "state": map[string]any{"first_seq": 1, "last_seq": len(f.leader)}})
}

func (f *split) get(m *nats.Msg) {
	var ask struct{ Seq ordering.Seq }
	if err := json.Unmarshal(m.Data, &ask); err != nil {
		f.t.Error(err)
	}
	if int(ask.Seq) > len(f.leader) {
		f.answer(m, map[string]any{"error": apiError{Code: 404, ErrCode: codeNoMessage, Description: "no message found"}})
		return
	}
	e := f.leader[ask.Seq-1]
	f.answer(m, map[string]any{"message": map[string]any{"subject": f.ref.InputSubject(), "seq": e.Seq, "data": e.Data, "time": time.Unix(0, int64(e.Time)).UTC()}})
}

// A reader to whom other servers say for ever that there is nothing new notices that the leader has lost
// or rewritten what it has read.
func TestOtherServersHideBreak(t *testing.T) {
	for reason, leader := range map[string]func([]ordering.Entry) []ordering.Entry{
		"the log ends at 10": func(all []ordering.Entry) []ordering.Entry { return all[:10] },
		"rewritten": func(all []ordering.Entry) []ordering.Entry {
			other := append([]ordering.Entry(nil), all...)
			other[19].Data = []byte("another")
			return other
		},
	} {
		t.Run(reason, func(t *testing.T) {
			_, l := newSplit(t, leader)
			done := make(chan error, 1)
			go func() {
				for next := ordering.Seq(1); ; {
					got, err := l.Read(t.Context(), next)
					if err != nil {
						done <- err
						return
					}
					next = got[len(got)-1].Seq + 1
				}
			}()
			var br *ordering.BreakError
			select {
			case err := <-done:
				if !errors.As(err, &br) || !strings.Contains(br.Reason, reason) {
					t.Fatalf("got %v, want a break: %s", err, reason)
				}
			case <-time.After(time.Minute):
				t.Fatal("nothing is noticed")
			}
		})
	}
}
