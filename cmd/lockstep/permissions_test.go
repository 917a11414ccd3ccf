package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering/jetstream"
)

// prompt is how soon at the latest a client hears that it may not: long before anything
// that waits for an answer would give up, with much to spare for a busy machine.
const prompt = 15 * time.Second

// addUser adds a user with its permissions to a server's configuration, as docs/running.md
// says, and returns the file with its seed.
func addUser(t *testing.T, conf, permissions string) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("users = [\n    { nkey: %s, permissions: { %s } }\n", public, strings.ReplaceAll(permissions, "INBOX", jetstream.InboxPrefix(public)))
	if err := os.WriteFile(conf, []byte(strings.Replace(string(text), "users = [\n", line, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What a user may not do is an error at once that says so, and nobody reads the
// replies to another.
func TestPermissions(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.must("init", "c", "--use", "c", "--nodes", "n1", "--port", fmt.Sprint(n.port))
	conf := filepath.Join(n.dir, "c", "n1", "server.conf")
	reader := addUser(t, conf, `publish: ["lockstep.*.info", "lockstep.*.query", "lockstep.*.query.>"], subscribe: ["INBOX.>", "lockstep.*.out.*"]`)
	deaf := addUser(t, conf, `publish: ["lockstep.>"], subscribe: ["INBOX.>"]`)
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(0, 9) })
	if err := os.WriteFile(filepath.Join(n.dir, "kv.wasm"), kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, errs, code := n.lockstep("deploy", "kv", "kv.wasm", "--nkey", filepath.Join("c", "client.nk"), "--timeout", "60s")
	if code == exitOK || time.Since(began) > prompt {
		t.Errorf("deploy with a client's key: exit code %d after %v: %s", code, time.Since(began), errs)
	}
	if !strings.Contains(errs, "do not let this user publish to lockstep.$node.") {
		t.Errorf("deploy with a client's key says %s", errs)
	}
	n.must("deploy", "kv", "kv.wasm")

	url := fmt.Sprintf("nats://127.0.0.1:%d", n.port)
	connect := func(seed string) (*client.Client, error) {
		cl, err := client.Connect(bounded(t), client.Options{Machine: "kv", URLs: []string{url}, Login: jetstream.Login{SeedFile: seed}})
		if err == nil {
			t.Cleanup(func() { _ = cl.Close() })
		}
		return cl, err
	}
	isDenied := func(what, subject string, subscribe bool, err error) {
		t.Helper()
		var denied *client.PermissionError
		if !errors.As(err, &denied) || !strings.Contains(denied.Subject, subject) || denied.Subscribe != subscribe {
			t.Errorf("%s: %v, want that %s is not permitted", what, err, subject)
		}
	}

	// A client's key does what clients do, and nothing more.
	cl, err := connect(filepath.Join(n.dir, "c", "client.nk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Call(bounded(t), kv.Add("n", 1)); err != nil {
		t.Errorf("a client's call: %v", err)
	}
	_, err = cl.Upgrade(bounded(t), kv.V2)
	isDenied("a client's upgrade", "lockstep.kv.prepare", false, err)

	_, err = cl.Checkpoint(bounded(t))
	isDenied("a client's checkpoint", "lockstep.kv.in.1.control", false, err)

	// One that may only read reads, and hears at once that it may not call.
	r, err := connect(reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Query(bounded(t), kv.Get("n"), client.Voted); err != nil {
		t.Errorf("a reader's query: %v", err)
	}
	_, err = r.Call(bounded(t), kv.Add("n", 1))
	isDenied("a reader's call", "lockstep.kv.in.", false, err)
	s, err := r.Subscribe(bounded(t), 1)
	if err == nil {
		_, err = s.Next(bounded(t))
	}
	isDenied("a reader's subscription", "lockstep.kv.events", true, err)
	if out, err := cl.Call(bounded(t), kv.Add("n", 1)); err != nil || fmt.Sprint(kv.DecodeNumber(out.Bytes)) != "2 <nil>" {
		t.Errorf("n is %x, %v: what was denied was applied", out.Bytes, err)
	}
	_, err = connect(deaf)
	isDenied("one that may not hear its outputs", "lockstep.kv.out.", true, err)

	// Nobody listens at another's inbox.
	option, err := jetstream.Nkey(filepath.Join(n.dir, "c", "client.nk"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url, append(option, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	admin := publicOf(t, filepath.Join(n.dir, "c", "admin.nk"))
	for _, subject := range []string{"_INBOX.>", ">", "_INBOX.*.*.*", jetstream.InboxPrefix(admin) + ".>", jetstream.InboxPrefix(publicOf(t, reader)) + ".x"} {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := conn.FlushWithContext(bounded(t)); err != nil {
			t.Fatal(err)
		}
		if err := conn.LastError(); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), fmt.Sprintf("%q", subject)) {
			t.Errorf("a client listens on %s: %v", subject, err)
		}
	}
}

// A node may publish anywhere, and who asks it may not: an answer that is to go anywhere but to an inbox is not given. So a
// key for one machine, with which one may only read, puts nothing into another machine's log.
func TestAnswersGoToInboxes(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.must("init", "c", "--use", "c", "--nodes", "n1", "--port", fmt.Sprint(n.port))
	conf := filepath.Join(n.dir, "c", "n1", "server.conf")
	reader := addUser(t, conf, `publish: ["lockstep.a.info", "lockstep.a.query", "lockstep.a.query.>"], subscribe: ["INBOX.>", "lockstep.a.out.*"]`)
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(0, 9) })
	if err := os.WriteFile(filepath.Join(n.dir, "kv.wasm"), kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	n.must("deploy", "a", "kv.wasm")
	n.must("deploy", "b", "kv.wasm")
	option, err := jetstream.Nkey(reader)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", n.port), option...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := n.replicas("b")[0].LogLast
	for subject, question := range map[string][]byte{
		host.InfoSubject("a"):              nil,
		protocol.QuerySubject("a"):         protocol.Question{}.Encode(),
		protocol.QuerySubjectOf("a", "n1"): protocol.Question{Responder: "n1", Queries: [][]byte{kv.Get("k")}}.Encode(),
	} {
		if err := conn.PublishRequest(subject, "lockstep.b.in.1.input", question); err != nil {
			t.Fatal(err)
		}
		// What the node has answered to an inbox comes after what it has answered before.
		if _, err := conn.RequestWithContext(bounded(t), subject, question); err != nil {
			t.Errorf("ask on %s: %v", subject, err)
		}
	}
	n.must("call", "b", "-i", "hex", fmt.Sprintf("%x", kv.Put("k", nil)))
	if after := n.replicas("b")[0].LogLast; after != before+1 {
		t.Errorf("log of b went from %d to %d by one call", before, after)
	}
}

func publicOf(t *testing.T, file string) string {
	t.Helper()
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), prompt)
	t.Cleanup(cancel)
	return ctx
}
