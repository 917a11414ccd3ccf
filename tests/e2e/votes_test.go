package e2e

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/local"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/wasmabi/instrument"
)

func voters(c *local.Cluster) []audit.ReplicaID {
	var list []audit.ReplicaID
	for i := range c.Len() {
		list = append(list, c.Name(i))
	}
	return list
}

// Every vote states what applying the log up to its entry gives, which is
// computed here from the log alone: so none was made before its entry was
// applied, and none of another log.
func TestVotesAreWhatTheLogGives(t *testing.T) {
	c := start(t, "kv", nil)
	conn, err := nats.Connect(c.URLs()[0], jetstream.ConnOptions(t.Name(), nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var mu sync.Mutex
	votes := make(map[ordering.Seq][]protocol.Answer)
	total := 0
	if _, err := conn.Subscribe("lockstep.kv.out.*", func(m *nats.Msg) {
		a, _, err := decodeAnswer(m)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("answer: %v", err)
			return
		}
		votes[a.Vote.Seq] = append(votes[a.Vote.Seq], a)
		total++
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// The log is read from its beginning before anything is in it: checkpoints cut it.
	log, err := jetstream.Open(within(t, patience), conn, jetstream.Ref{Machine: "kv", Epoch: 1}, jetstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	read := follow(t, log)
	cl := connect(t, c, "kv")
	deploy(t, c, cl, kv.V1, host.Config{})
	for i := range 40 {
		key := fmt.Sprintf("k%d", i%7)
		call(t, cl, kv.Put(key, fmt.Append(nil, i)))
		call(t, cl, kv.Get(key))
	}
	last := call(t, cl, kv.Delete("k1")).Seq

	await(t, "all votes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return total >= 3*int(last)
	})
	oracle := host.New("kv", instrument.Profile, func(d audit.Digest, config host.Config) (host.Guest, error) {
		m, err := shared.Compile(kv.V1, config.MaxMemory)
		if err != nil {
			return nil, err
		}
		return m.Instantiate()
	})
	defer oracle.Close()
	for oracle.Seq() < last {
		tr, err := oracle.Apply(<-read)
		if err != nil {
			t.Fatal(err)
		}
		if tr.Reply == nil {
			t.Fatalf("seq %d asks nothing", tr.Seq)
		}
		mu.Lock()
		checkVotes(t, votes[tr.Seq], tr)
		mu.Unlock()
	}
}

// decodeAnswer reads an answer by the client that its subject names.
func decodeAnswer(m *nats.Msg) (protocol.Answer, host.Receipts, error) {
	var client host.ClientID
	if _, err := hex.Decode(client[:], []byte(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])); err != nil {
		return protocol.Answer{}, nil, err
	}
	return protocol.DecodeAnswer(client, m.Data)
}

// follow reads a log from its beginning for as long as the test lasts.
func follow(t *testing.T, log ordering.Log) <-chan ordering.Entry {
	t.Helper()
	out := make(chan ordering.Entry, 1024)
	go func() {
		for next := ordering.Seq(1); ; {
			entries, err := log.Read(t.Context(), next)
			if err != nil {
				return // the test is over, or sees that entries are missing
			}
			for _, e := range entries {
				out <- e
				next = e.Seq + 1
			}
		}
	}()
	return out
}

func checkVotes(t *testing.T, votes []protocol.Answer, tr *host.Transition) {
	t.Helper()
	by := make(map[audit.ReplicaID]bool)
	for _, a := range votes {
		by[a.Vote.Replica] = true
		if a.Vote.Chain != tr.Chain || a.Vote.Outputs != protocol.OutputsDigest(tr.Reply.Client, tr.Reply.Receipts) || a.Vote.Members != tr.Reply.Members {
			t.Errorf("seq %d: %s voted for another chain or other outputs than the log gives", tr.Seq, a.Vote.Replica)
		}
	}
	if len(by) != 3 {
		t.Errorf("seq %d: %d replicas voted, want 3", tr.Seq, len(by))
	}
}
