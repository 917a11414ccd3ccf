package e2e

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/local"
	"lockstep/host/protocol"
)

// large is an output that only the responder sends as bytes.
var large = bytes.Repeat([]byte("large "), 2000)

// readLarge reads it with many calls, so that each replica was the responder of
// some.
func readLarge(t *testing.T, cl *client.Client) {
	t.Helper()
	for range 12 {
		out := call(t, cl, kv.Get("k"))
		if v, ok, err := kv.DecodeGet(out.Bytes); err != nil || !ok || !bytes.Equal(v, large) {
			t.Fatalf("read %d bytes, %v, %v", len(v), ok, err)
		}
	}
}

// withLarge is a cluster that holds the large value, and a patient client: it
// does not send an input again for a minute, so that what it gets back it got
// for the first entry.
func withLarge(t *testing.T) (c *local.Cluster, cl *client.Client, dir string) {
	t.Helper()
	dir = t.TempDir()
	c = startIn(t, dir, "kv", nil)
	deploy(t, c, connect(t, c, "kv"), kv.V2, host.Config{})
	cl, err := client.Connect(within(t, patience), client.Options{Machine: "kv", URLs: c.URLs(), Retry: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	// Its first answers are lost if servers have not told each other yet that it listens: then it sends again.
	if _, err := cl.Call(within(t, 3*patience), kv.Put("k", large)); err != nil {
		t.Fatal(err)
	}
	return c, cl, dir
}

// One of three replicas sends the bytes of a large output.
func TestOneReplicaSendsLargeOutputs(t *testing.T) {
	c, cl, _ := withLarge(t)
	conn, err := nats.Connect(c.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync("lockstep.kv.out.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	readLarge(t, cl)
	whole := make(map[audit.ReplicaID]int)
	for range 36 {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := decodeAnswer(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Receipts) > 0 {
			whole[a.Vote.Replica]++
		}
	}
	// A third each. On a busy machine one may be late: then another is asked too, and it is passed over for a while.
	sum := 0
	for i := range 3 {
		sum += whole[c.Name(i)]
		if whole[c.Name(i)] == 0 {
			t.Errorf("%s never sent the bytes", c.Name(i))
		}
	}
	if sum < 12 || sum > 20 {
		t.Errorf("the bytes of 12 outputs were sent %d times: %v", sum, whole)
	}
}

// A responder that is silent costs a round trip and not the call.
func TestSilentResponder(t *testing.T) {
	c, cl, _ := withLarge(t)
	paused, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = c.Node(2).Replica("kv").Do(t.Context(), func(*host.Machine) { close(paused); <-release })
	}()
	<-paused
	defer close(release)
	for range 4 { // clients begin with different responders
		fresh, err := client.Connect(within(t, patience), client.Options{Machine: "kv", URLs: c.URLs(), Retry: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		readLarge(t, fresh)
		if err := fresh.Close(); err != nil {
			t.Error(err)
		}
	}
	readLarge(t, cl)
}

// A responder that sends other bytes than the majority's costs a round trip,
// and what it sends is not given out.
func TestLyingResponder(t *testing.T) {
	c, cl, dir := withLarge(t)
	p := replace(t, c, dir, "kv")
	lies := make(chan struct{}, 1024)
	if _, err := p.conn.Subscribe("lockstep.kv.out.*", func(m *nats.Msg) {
		a, _, err := decodeAnswer(m)
		if err != nil || a.Vote.Replica == p.id {
			return
		}
		// Where it should say what the other said, it says something else.
		a.Receipts = host.ReceiptsFormat.Encode(host.Receipts{{Number: 1, Output: []byte("lie")}})
		a.Vote.Replica = p.id
		a.Vote.Outputs = protocol.OutputsDigest(clientOf(t, m), a.Receipts)
		a.Vote.Sign(p.key)
		_ = p.conn.Publish(m.Subject, protocol.AnswerFormat.Encode(a))
		lies <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	call(t, cl, kv.Put("other", nil))
	readLarge(t, cl)
	if len(lies) == 0 {
		t.Error("the liar was never heard: the test shows nothing")
	}
}

// What a certificate proves is checked by somebody who has the membership and
// nothing else.
func TestCertificateOfACall(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	out := call(t, cl, kv.Add("n", 42))
	members, err := cl.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Verify(out.Certificate(), members)
	if err != nil {
		t.Fatal(err)
	}
	if got.Machine != "kv" || got.Seq != out.Seq || !bytes.Equal(got.Receipt.Output, out.Bytes) || len(got.Voters) < 2 {
		t.Errorf("certificate proves %+v, want output %x at seq %d", got, out.Bytes, out.Seq)
	}
	// By the voters of another cluster it proves nothing.
	other := start(t, "kv", nil)
	ocl := connect(t, other, "kv")
	deploy(t, other, ocl, kv.V2, host.Config{})
	strangers, err := ocl.Members(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Verify(out.Certificate(), strangers); !errors.Is(err, protocol.ErrNotProven) {
		t.Errorf("verified by strangers: %v", err)
	}
	if read, err := cl.Query(within(t, patience), kv.Get("n"), client.Voted); err != nil || read.Certificate() != nil {
		t.Errorf("a query has a certificate: %x, %v", read.Certificate(), err)
	}
	verify(t, c, "kv")
}

// In mode crash one replica's answer is enough, and reads see what was answered.
func TestModeCrash(t *testing.T) {
	c := start(t, "kv", nil)
	cl := connect(t, c, "kv")
	if _, err := cl.Deploy(within(t, patience), kv.V2, host.Config{Mode: audit.Crash}, voters(c)[:2]); err != nil {
		t.Fatal(err)
	}
	if out := call(t, cl, kv.Add("n", 1)); out.Certificate() != nil {
		t.Error("an output of mode crash has a certificate")
	}
	for n := range int64(20) {
		call(t, cl, kv.Add("n", 1))
		for _, mode := range []client.Mode{client.Linearizable, client.Voted} {
			out, err := cl.Query(within(t, patience), kv.Get("n"), mode)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := kv.DecodeNumber(out.Bytes[1:]); err != nil || got != n+2 {
				t.Fatalf("%v: read %d, %v, want %d", mode, got, err, n+2)
			}
		}
	}
	c.Kill(1) // one of two voters; the log keeps two of its three peers
	for range 10 {
		call(t, cl, kv.Add("n", 1))
	}
	out, err := cl.Query(within(t, patience), kv.Get("n"), client.Linearizable)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kv.DecodeNumber(out.Bytes[1:]); err != nil || got != 31 {
		t.Errorf("read %d, %v, want 31", got, err)
	}
}

// In mode signed clients work as in others, and an input that is not signed by
// the client it names is refused.
func TestModeSigned(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{Mode: audit.Signed})
	for n := range 5 {
		if got, err := kv.DecodeNumber(call(t, cl, kv.Add("n", 1)).Bytes); err != nil || got != int64(n+1) {
			t.Fatalf("n is %d, %v after %d additions", got, err, n+1)
		}
	}
	if _, err := cl.Checkpoint(within(t, patience)); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	forged := host.Batch{Session: host.Session{Client: host.ClientID{1}}, Inputs: []host.Input{{Number: 1, Payload: kv.Add("n", 1000)}}}
	conn, err := nats.Connect(c.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Request("lockstep.kv.in.1.input", forged.Encode(), patience); err != nil {
		t.Fatal(err)
	}
	if got, err := kv.DecodeNumber(call(t, cl, kv.Add("n", 1)).Bytes); err != nil || got != 6 {
		t.Errorf("n is %d, %v after a forged input, want 6", got, err)
	}
	verify(t, c, "kv")
}

// A client that goes on with another's session gets what was open, once.
func TestSessionOutlivesClient(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	var kept []byte
	options := client.Options{Machine: "kv", URLs: c.URLs(), Save: func(s []byte) error { kept = s; return nil }}
	first, err := client.Connect(within(t, patience), options)
	if err != nil {
		t.Fatal(err)
	}
	call(t, first, kv.Add("n", 1))
	for _, id := range []int{0, 1} { // nobody answers: the call stays open
		c.Kill(id)
	}
	pending, err := first.CallAsync(kv.Add("n", 10))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the input to be sent", func() bool {
		var fail *client.FailError
		_, err := pending.Wait(expired(t))
		return errors.As(err, &fail) && fail.Fate != client.Unsent
	})
	if err := first.Close(); err != nil { // as good as a crash: kept is from before
		t.Error(err)
	}
	if _, err := pending.Wait(within(t, patience)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("call of a closed client: %v", err)
	}
	for _, id := range []int{0, 1} {
		if err := c.Restart(within(t, patience), id); err != nil {
			t.Fatal(err)
		}
	}
	for life := range 3 {
		options.Session = kept
		next, err := client.Connect(within(t, patience), options)
		if err != nil {
			t.Fatal(err)
		}
		if len(next.Resumed()) != 1 && life == 0 {
			t.Fatalf("resumed %d calls, want the one that was open", len(next.Resumed()))
		}
		for _, p := range next.Resumed() {
			out, err := p.Wait(within(t, patience))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := kv.DecodeNumber(out.Bytes); err != nil || got != 11 {
				t.Errorf("life %d: the call that was open gave %d, %v, want 11", life, got, err)
			}
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := kv.DecodeNumber(call(t, cl, kv.Add("n", 0)).Bytes); err != nil || got != 11 {
		t.Errorf("n is %d, %v after three lives, want 11", got, err)
	}
	verify(t, c, "kv")
}
