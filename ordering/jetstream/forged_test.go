package jetstream_test

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// rawConn speaks the protocol itself, to send what a client library would not.
type rawConn struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func dialRaw(t *testing.T, url string) *rawConn {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &rawConn{t, nc, bufio.NewReader(nc)}
	c.line() // INFO
	c.send("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\nSUB ack 1\r\n")
	return c
}

func (c *rawConn) send(s string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) line() string {
	c.t.Helper()
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

// publish sends one message and returns JetStream's answer.
func (c *rawConn) publish(subject, header, data string) string {
	c.t.Helper()
	c.send(fmt.Sprintf("HPUB %s ack %d %d\r\n%s%s\r\n", subject, len(header), len(header)+len(data), header, data))
	for {
		switch s := c.line(); {
		case strings.HasPrefix(s, "MSG ack"), strings.HasPrefix(s, "HMSG ack"):
			return c.line()
		case s == "PING":
			c.send("PONG\r\n")
		case strings.HasPrefix(s, "-ERR"):
			c.t.Fatal(s)
		}
	}
}

// forgedHeaders are what a hostile client may put into a header to pass for the server. seq
// is the position that its message will have.
func forgedHeaders(ref jetstream.Ref, seq ordering.Seq) map[string]string {
	forged := func(seq ordering.Seq) string {
		return fmt.Sprintf("Nats-Stream: %s\r\nNats-Subject: %s\r\nNats-Sequence: %d\r\nNats-Time-Stamp: 2000-01-01T00:00:00Z\r\nNats-Last-Sequence: %d\r\n",
			ref.StreamName(), ref.InputSubject(), seq, seq-1)
	}
	return map[string]string{
		"far ahead":           "NATS/1.0\r\n" + forged(999_999) + "\r\n",
		"right place":         "NATS/1.0\r\n" + forged(seq) + "\r\n",
		"cut, far ahead":      "NATS/1.0\r\n" + forged(999_999) + "\r\n\r\n",
		"cut, next place":     "NATS/1.0\r\n" + forged(seq+1) + "\r\n\r\n",
		"cut, right place":    "NATS/1.0\r\n" + forged(seq) + "\r\n\r\n",
		"cut, past":           "NATS/1.0\r\n" + forged(1) + "\r\n\r\n",
		"cut, short lines":    "NATS/1.0\n" + strings.ReplaceAll(strings.ReplaceAll(forged(seq), "\r\n", "\n"), ": ", ":") + "\n\r\n",
		"status 404":          "NATS/1.0 404 Message Not Found\r\n\r\n",
		"status 204":          "NATS/1.0 204 EOB\r\n\r\n",
		"status key":          "NATS/1.0\r\nStatus: 404\r\nDescription: x\r\n\r\n",
		"status key, cut":     "NATS/1.0\r\nStatus: 204\r\n\r\n\r\n",
		"no colon":            "NATS/1.0\r\nnonsense\r\n\r\n",
		"not a header":        "xx\r\n",
		"swallow":             "NATS/1.0\r\n:xx",
		"other case":          "NATS/1.0\r\nnats-sequence: 5\r\n\r\n",
		"large":               "NATS/1.0\r\nA: " + strings.Repeat("x", 40_000) + "\r\n\r\n",
		"rollup":              "NATS/1.0\r\nNats-Rollup: all\r\n\r\n",
		"ttl":                 "NATS/1.0\r\nNats-TTL: 1s\r\n\r\n",
		"schedule":            "NATS/1.0\r\nNats-Schedule: @every 1s\r\nNats-Schedule-Target: " + ref.InputSubject() + "\r\n\r\n",
		"batch":               "NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\n\r\n",
		"id":                  "NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n",
		"expected":            "NATS/1.0\r\nNats-Expected-Last-Sequence: 0\r\n\r\n",
		"counter":             "NATS/1.0\r\nNats-Incr: 1\r\n\r\n",
		"expected stream":     "NATS/1.0\r\nNats-Expected-Stream: other\r\n\r\n",
		"message size forged": "NATS/1.0\r\nNats-Msg-Size: 0\r\n\r\n",
	}
}

// TestForgedHeaders has a hostile client publish between the entries of an honest one. Readers by
// the fast path and by the slow one get the same, with the server's positions and
// times, and whatever the client sent neither hides nor moves another's entry.
func TestForgedHeaders(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", servers), func(t *testing.T) {
			c := jetstreamtest.Start(t, servers)
			ref := newRef()
			create(t, c, jetstream.Config{Ref: ref, Replicas: servers})
			testForgedHeaders(t, c, ref)
		})
	}
}

func testForgedHeaders(t *testing.T, c *jetstreamtest.Cluster, ref jetstream.Ref) {
	start := time.Now().Add(-time.Second)
	ctx := within(t, 2*time.Minute)
	w := open(t, c, 0, ref)
	live := open(t, c, c.Len()-1, ref)
	if _, err := w.Append(ctx, []byte("honest")); err != nil {
		t.Fatal(err)
	}
	raw := dialRaw(t, c.URLs()[0])
	want := []string{"honest"}
	got := readTo(t, live, 1, 1)
	names := forgedHeaders(ref, 0)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		header := forgedHeaders(ref, ordering.Seq(len(want)+1))[name]
		data := "hostile: " + name
		if name == "large" {
			data += strings.Repeat("y", ordering.MaxEntry-len(header)-len(data)) // the largest there is
		}
		ack := raw.publish(ref.InputSubject(), header, data)
		if strings.Contains(ack, `"seq":`) && !strings.Contains(ack, `"error"`) {
			want = append(want, data)
		}
		t.Logf("%-20s %.120s", name, ack)
		seq, err := w.Append(ctx, []byte("honest"))
		if err != nil || seq != ordering.Seq(len(want)+1) {
			t.Fatalf("%s: Append: %d, %v, want %d", name, seq, err, len(want)+1)
		}
		want = append(want, "honest")
		from := ordering.Seq(len(got) + 1)
		got = append(got, readTo(t, live, from, seq)...)
	}
	late := readTo(t, open(t, c, 0, ref), 1, ordering.Seq(len(want)))
	for i, e := range got {
		if string(e.Data) != want[i] {
			t.Errorf("entry %d: %.40q, want %.40q", e.Seq, e.Data, want[i])
		}
		if at := e.Time.Std(); at.Before(start) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("entry %d %.40q: time %v is not the server's", e.Seq, e.Data, at)
		}
		if l := late[i]; l.Time != e.Time || string(l.Data) != string(e.Data) {
			t.Errorf("entry %d differs between the fast path and the slow one", e.Seq)
		}
	}
	if s, err := w.State(ctx); err != nil || s.First != 1 || s.Last != ordering.Seq(len(want)) {
		t.Errorf("State: %+v, %v", s, err)
	}
}

// TestHostileFlood has every second message carry a forged header: reading from the
// start stays linear.
func TestHostileFlood(t *testing.T) {
	const n = 1000
	c := jetstreamtest.Start(t, 1)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref})
	nc := c.Connect(t, 0)
	raw := dialRaw(t, c.URLs()[0])
	for range n {
		raw.publish(ref.InputSubject(), "NATS/1.0\r\nnonsense\r\n\r\n", "hostile")
		if _, err := nc.Request(ref.InputSubject(), []byte("honest"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	before := nc.Stats().InMsgs
	l, err := jetstream.Open(within(t, time.Minute), nc, ref, jetstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i, e := range readTo(t, l, 1, 2*n) {
		if want := []string{"hostile", "honest"}[i%2]; string(e.Data) != want {
			t.Fatalf("entry %d: %q, want %q", e.Seq, e.Data, want)
		}
	}
	if got := nc.Stats().InMsgs - before; got > 40*n {
		t.Errorf("%d messages came in for %d entries", got, 2*n)
	}
}

// TestControlElsewhere has a control input among other inputs, where any client may publish: it
// asks nothing, however it is read. On their own subject control inputs are entries like others.
func TestControlElsewhere(t *testing.T) {
	c := jetstreamtest.Start(t, 1)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref})
	nc := c.Connect(t, 0)
	live := open(t, c, 0, ref)
	control := ordering.ControlMagic + " quit"
	for _, m := range []struct{ subject, header string }{
		{ref.InputSubject(), ""},
		{ref.InputSubject(), "NATS/1.0\r\nNats-Subject: " + ref.ControlSubject() + "\r\n\r\n"}, // and it lies about where
		{ref.ControlSubject(), ""},
	} {
		if m.header != "" {
			dialRaw(t, c.URLs()[0]).publish(m.subject, m.header, control)
		} else if _, err := nc.Request(m.subject, []byte(control), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := live.Append(within(t, time.Minute), []byte(control)); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*jetstream.Log{"as it came": live, "later": open(t, c, 0, ref)} {
		for i, e := range readTo(t, l, 1, 4) {
			if want := []string{"", "", control, control}[i]; string(e.Data) != want {
				t.Errorf("read %s: entry %d is %q, want %q", name, e.Seq, e.Data, want)
			}
		}
	}
}
