package node

import (
	"sync"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
)

// vote sends the outputs, or their digest where another sends them, and this
// replica's signed statement of them.
func (r *Replica) vote(t *host.Transition) {
	reply := t.Reply
	vote := audit.Vote{
		Machine: string(r.name), Replica: r.id, Epoch: t.Epoch, Seq: t.Seq, Chain: t.Chain,
		Members: reply.Members, Outputs: protocol.OutputsDigest(reply.Client, reply.Receipts),
	}
	if reply.Mode != audit.Crash {
		vote.Sign(r.key)
	}
	whole := protocol.Answer{Vote: vote, Receipts: reply.Receipts}
	sent := whole
	if reply.Mode != audit.Crash && reply.Responder != r.id && reply.Responder != "" && len(reply.Receipts) > protocol.SmallReceipts {
		sent.Receipts = nil
		r.answers.keep(reply.Client, whole)
	}
	r.meter.Voted()
	r.outbox.put(t.Seq, host.OutputSubject(string(r.name), reply.Client), protocol.AnswerFormat.Encode(sent))
}

// answers are the last ones that were sent without their receipts, for clients
// whose responder was silent or wrong.
type answers struct {
	mu    sync.Mutex
	list  []keptAnswer // ascending by seq
	bytes int
}

type keptAnswer struct {
	client host.ClientID
	answer protocol.Answer
}

// Bounds of answers.
const (
	maxAnswers     = 4096
	maxAnswerBytes = 32 << 20
)

func (a *answers) keep(client host.ClientID, answer protocol.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, keptAnswer{client, answer})
	a.bytes += len(answer.Receipts)
	for len(a.list) > maxAnswers || a.bytes > maxAnswerBytes {
		a.bytes -= len(a.list[0].answer.Receipts)
		a.list[0] = keptAnswer{}
		a.list = a.list[1:]
	}
}

func (a *answers) find(q protocol.Again) (protocol.Answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.list) - 1; i >= 0; i-- {
		k := &a.list[i]
		if k.client == q.Client && k.answer.Vote.Epoch == q.Epoch && k.answer.Vote.Seq == q.Seq {
			return k.answer, true
		}
	}
	return protocol.Answer{}, false
}

// answerAgain sends an answer with its receipts to a client that has them from
// nobody else.
func (r *Replica) answerAgain(m *nats.Msg) {
	var q protocol.Again
	if err := protocol.AgainFormat.Decode(m.Data, &q); err != nil {
		r.logger.Debug("drop request for an answer", "err", err)
		return
	}
	r.recent.when(q.Seq, 0, func(_ point, ok bool) {
		if a, kept := r.answers.find(q); ok && kept {
			r.publish(host.OutputSubject(string(r.name), q.Client), protocol.AnswerFormat.Encode(a))
		}
	})
}
