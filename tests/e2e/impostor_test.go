package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/local"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/wasmabi"
)

// impostor takes the place of a node that was killed, with the key of its
// replica: it says what a faulty replica might say.
type impostor struct {
	t    *testing.T
	conn *nats.Conn
	key  ed25519.PrivateKey
	id   audit.ReplicaID
	info host.Info // of the replica it was, before
}

// replace kills the last node and returns its impostor.
func replace(t *testing.T, c *local.Cluster, dir string, machine ordering.Name) *impostor {
	t.Helper()
	last := c.Len() - 1
	p := &impostor{t: t, id: c.Name(last), info: c.Node(last).Replica(machine).Info()}
	c.Kill(last)
	text, err := os.ReadFile(filepath.Join(dir, string(p.id), "node", "machines", string(machine), "replica.nk"))
	if err != nil {
		t.Fatal(err)
	}
	_, seed, err := nkeys.DecodeSeed(text)
	if err != nil {
		t.Fatal(err)
	}
	p.key = ed25519.NewKeyFromSeed(seed)
	if p.conn, err = nats.Connect(c.URLs()[0], jetstream.ConnOptions(t.Name(), nil)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.conn.Close)
	return p
}

// answer answers every question with what say makes of it.
func (p *impostor) answer(say func(q protocol.Question, r *audit.Reading) host.Receipts) *atomic.Int64 {
	p.t.Helper()
	responded := new(atomic.Int64)
	handle := func(m *nats.Msg) {
		q, err := protocol.DecodeQuestion(m.Data)
		if err != nil {
			p.t.Error(err)
			return
		}
		a := protocol.ReadAnswer{Reading: audit.Reading{
			Machine: p.info.Machine, Replica: p.id, Epoch: p.info.Epoch, Seq: p.info.Seq, Chain: p.info.Chain,
			Members: p.info.Members.Seq, Question: protocol.QuestionDigest(m.Data),
		}}
		if receipts := say(q, &a.Reading); receipts != nil {
			encoded := host.ReceiptsFormat.Encode(receipts)
			a.Reading.Outputs = protocol.ReadDigest(encoded)
			if q.Responder == p.id {
				a.Receipts = encoded
				responded.Add(1)
			}
		}
		a.Reading.Sign(p.key)
		_ = m.Respond(protocol.ReadAnswerFormat.Encode(a))
	}
	for _, subject := range []string{protocol.QuerySubject(p.info.Machine), protocol.QuerySubjectOf(p.info.Machine, p.id)} {
		if _, err := p.conn.Subscribe(subject, handle); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.conn.Flush(); err != nil {
		p.t.Fatal(err)
	}
	return responded
}

// emit votes for events that nobody else has, and sends them.
func (p *impostor) emit(seq ordering.Seq, data string) {
	p.t.Helper()
	vote := protocol.EventsVoteFormat.Encode(p.vote(seq, data))
	if err := errors.Join(p.conn.Publish(protocol.EventsSubject(p.info.Machine), vote), p.conn.Flush()); err != nil {
		p.t.Fatal(err)
	}
}

// vote is its vote on an event that nobody else has.
func (p *impostor) vote(seq ordering.Seq, data string) protocol.EventsVote {
	v := protocol.EventsVote{Events: protocol.EventsFormat.Encode(protocol.Events{List: []host.Event{{Data: []byte(data)}}})}
	v.Vote = audit.Vote{
		Machine: p.info.Machine, Replica: p.id, Epoch: p.info.Epoch, Seq: seq, Chain: p.info.Chain,
		Members: p.info.Members.Seq, Outputs: protocol.EventsDigest(0, v.Events),
	}
	v.Vote.SignEvents(p.key)
	return v
}

// said is a receipt of a query.
func said(output string) host.Receipts {
	return host.Receipts{{Number: 1, Status: wasmabi.OK, Output: []byte(output)}}
}

// A replica that stands still, and honestly answers from the state that it has,
// makes no linearizable or voted read show less than what was answered. A stale
// read may.
func TestReadsBesideStandingReplica(t *testing.T) {
	dir := t.TempDir()
	c := startIn(t, dir, "kv", nil)
	cl := connect(t, c, "kv")
	deploy(t, c, cl, kv.V2, host.Config{})
	old := call(t, cl, kv.Put("k", []byte("old"))).Seq
	await(t, "the write at the last node", func() bool { return c.Node(2).Replica("kv").Info().Seq >= old })
	p := replace(t, c, dir, "kv")
	var linearizable, voted atomic.Int64
	p.answer(func(q protocol.Question, _ *audit.Reading) host.Receipts {
		if q.Responder == p.id && q.All {
			voted.Add(1)
		} else if q.Responder == p.id {
			linearizable.Add(1)
		}
		return said("\x01old")
	})
	call(t, cl, kv.Put("k", []byte("new")))

	// A client of its own for each read, so that none remembers to pass it over.
	for linearizable.Load() < 2 || voted.Load() < 2 {
		for _, mode := range []client.Mode{client.Linearizable, client.Voted} {
			out, err := connect(t, c, "kv").Query(within(t, patience), kv.Get("k"), mode)
			if err != nil || string(out.Bytes) != "\x01new" {
				t.Fatalf("%v: read %q, %v after the write was answered", mode, out.Bytes, err)
			}
		}
	}
	stale := 0
	for range 6 {
		out, err := cl.Query(within(t, patience), kv.Get("k"), client.Stale)
		if err != nil {
			t.Fatal(err)
		}
		if string(out.Bytes) == "\x01old" {
			stale++
		}
	}
	if stale == 0 {
		t.Error("no stale read was answered by the standing replica: the test shows nothing")
	}
}

// A replica whose memory is wrong, at the right seq and chain, is outvoted.
func TestVotedReadBesideLiar(t *testing.T) {
	dir := t.TempDir()
	c := startIn(t, dir, "kv", nil)
	cl := connect(t, c, "kv")
	deploy(t, c, cl, kv.V2, host.Config{})
	seq := call(t, cl, kv.Put("k", []byte("truth"))).Seq
	await(t, "the write at all nodes", func() bool { return c.Node(2).Replica("kv").Info().Seq >= seq })
	p := replace(t, c, dir, "kv")
	responded := p.answer(func(protocol.Question, *audit.Reading) host.Receipts { return said("\x01lie") })
	for responded.Load() < 2 {
		reader := connect(t, c, "kv")
		for range 3 {
			out, err := reader.Query(within(t, patience), kv.Get("k"), client.Voted)
			if err != nil || string(out.Bytes) != "\x01truth" {
				t.Fatalf("read %q, %v", out.Bytes, err)
			}
		}
	}
}

// clientOf is the client that an answer's subject names.
func clientOf(t *testing.T, m *nats.Msg) (id host.ClientID) {
	t.Helper()
	if _, err := hex.Decode(id[:], []byte(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])); err != nil {
		t.Error(err)
	}
	return id
}

// expired is a context that has ended.
func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
