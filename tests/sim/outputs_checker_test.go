package sim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// outputsChecker sees every answer on the wire and counts votes as whoever does
// not trust the clients would: no input has two accepted outputs, and no entry.
type outputsChecker struct {
	t *testing.T

	mu      sync.Mutex
	members audit.Members
	answers []seenAnswer
}

type seenAnswer struct {
	client host.ClientID
	answer protocol.Answer
	told   host.Receipts
}

// accepted is what a majority says of an entry.
type accepted struct {
	chain   ordering.Chain
	outputs audit.Digest
}

// input names one input of all.
type input struct {
	client host.ClientID
	number uint64
}

func newOutputsChecker(conn *nats.Conn, t *testing.T) *outputsChecker {
	t.Helper()
	o := &outputsChecker{t: t}
	if _, err := conn.Subscribe("lockstep."+machine+".out.>", func(m *nats.Msg) {
		var client host.ClientID
		id, err := hex.DecodeString(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		if err != nil || copy(client[:], id) != len(client) {
			t.Errorf("answer on %s", m.Subject)
			return
		}
		a, receipts, err := protocol.DecodeAnswer(client, m.Data)
		if err != nil {
			t.Errorf("answer on %s: %v", m.Subject, err)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.answers = append(o.answers, seenAnswer{client, a, receipts})
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outputsChecker) know(m audit.Members) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = m
}

// check counts, and returns how many inputs have an accepted output.
func (o *outputsChecker) check(liedTo map[audit.ReplicaID]bool) int {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	tallies := make(map[audit.Position]*audit.Tally[accepted])
	decided := make(map[audit.Position]accepted)
	outputs := make(map[input]string)
	for _, a := range o.answers {
		v := a.answer.Vote
		key, voter := o.members.Voter(v.Replica)
		if !voter || v.Verify(key) != nil {
			continue
		}
		at := audit.Position{Epoch: v.Epoch, Seq: v.Seq}
		if tallies[at] == nil {
			tallies[at] = new(audit.Tally[accepted])
		}
		if err := tallies[at].Add(v.Replica, accepted{v.Chain, v.Outputs}); err != nil && !liedTo[v.Replica] {
			o.t.Errorf("at %v: %v", at, err)
		}
		s, ok := tallies[at].Decided(o.members.Majority())
		if !ok {
			continue
		}
		if before, ok := decided[at]; ok && before != s {
			o.t.Errorf("at %v two outputs are accepted: %v and %v", at, before, s)
		}
		decided[at] = s
		if a.told == nil || s.outputs != v.Outputs {
			continue
		}
		for _, r := range a.told {
			if !applied(r) {
				continue
			}
			in, out := input{a.client, r.Number}, fmt.Sprintf("%v %d %x", r.Status, r.Code, r.Output)
			if before, ok := outputs[in]; ok && before != out {
				o.t.Errorf("input %d of client %v has two accepted outputs: %s and %s", r.Number, a.client, before, out)
			}
			outputs[in] = out
		}
	}
	return len(outputs)
}
