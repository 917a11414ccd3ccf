package node

import (
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
)

// Bounds of what waits to be run. Beyond them a question is answered with busy.
const (
	queryQueue        = 1024
	maxQueryBytes     = 64 << 20 // of a node's waiting questions together
	exactPatience     = 20 * time.Millisecond
	maxWaitingQueries = 256
)

// query is a question that waits for the loop.
type query struct {
	question protocol.Question
	digest   audit.Digest
	size     int64
	reply    string    // subject of the answer
	until    time.Time // of an exact one: when it is run wherever the machine is
}

// receiveQuestion answers a question, or queues its queries. It runs in the
// subscription's goroutine and waits for nothing. alone tells that this replica
// was asked and no other: then it runs the queries whoever the responder is.
func (r *Replica) receiveQuestion(m *nats.Msg, alone bool) {
	switch {
	case protocol.AgainFormat.Match(m.Data) && alone:
		r.answerAgain(m)
		return
	case protocol.EventsSinceFormat.Match(m.Data) && !alone:
		r.answerEvents(m)
		return
	}
	q, err := protocol.DecodeQuestion(m.Data)
	if err != nil || m.Reply == "" {
		r.logger.Debug("drop question", "err", err)
		return
	}
	digest := protocol.QuestionDigest(m.Data)
	if len(q.Queries) == 0 || !alone && !q.All && q.Responder != r.id {
		r.statePosition(q, digest, m.Reply)
		return
	}
	if alone {
		q.Responder = r.id
	}
	item := query{question: q, digest: digest, size: int64(len(m.Data)), reply: m.Reply}
	if r.node.queryBytes.Add(item.size) <= maxQueryBytes {
		select {
		case r.queries <- item:
			return
		default:
		}
	}
	r.node.queryBytes.Add(-item.size)
	r.refuse(digest, m.Reply)
}

// refuse says that this replica is too busy. It is signed, so that nobody refuses
// in another's name.
func (r *Replica) refuse(question audit.Digest, reply string) {
	r.meter.Busy()
	reading := audit.Reading{Machine: string(r.name), Replica: r.id, Question: question}
	reading.Sign(r.key)
	r.publish(reply, protocol.ReadAnswerFormat.Encode(protocol.ReadAnswer{Reading: reading, Busy: true}))
}

// statePosition says where this replica is, once it is where the question wants
// it. Only a replica that votes states this.
func (r *Replica) statePosition(q protocol.Question, digest audit.Digest, reply string) {
	r.recent.when(q.From, 0, func(p point, ok bool) {
		if ok && q.Exact {
			p, ok = r.recent.at(q.From)
		}
		if ok {
			r.sendReading(p, digest, audit.Digest{}, nil, reply)
		}
	})
}

// sendReading signs a reading and sends it.
func (r *Replica) sendReading(p point, question, outputs audit.Digest, receipts []byte, reply string) {
	reading := audit.Reading{
		Machine: string(r.name), Replica: r.id, Epoch: p.at.Epoch, Seq: p.at.Seq, Chain: p.at.Chain, Members: p.members,
		Question: question, Outputs: outputs,
	}
	if p.mode != audit.Crash {
		reading.Sign(r.key)
	}
	r.publish(reply, protocol.ReadAnswerFormat.Encode(protocol.ReadAnswer{Reading: reading, Receipts: receipts}))
}

// turns shares the loop between the log and queries: after queries have run,
// entries that wait have the loop for as long as those took. So queries have at
// most half of the loop while there is something to apply.
type turns struct{ owed time.Duration }

func (t *turns) queried(took time.Duration) { t.owed += took }
func (t *turns) applied(took time.Duration) { t.owed = max(0, t.owed-took) }

// queryTurn is the queue of questions if it is their turn, or nil. entries is
// what waits to be applied.
func (r *Replica) queryTurn(entries <-chan readBatch) <-chan query {
	if len(entries) == 0 {
		r.turns.owed = 0
	}
	if r.turns.owed > 0 {
		return nil
	}
	return r.queries
}

// serveQueries answers questions between two entries, as far as it is their turn.
func (r *Replica) serveQueries() {
	for r.turns.owed == 0 {
		select {
		case q := <-r.queries:
			r.answerQuery(q)
		default:
			return
		}
	}
}

// answerQuery runs one question's queries, or keeps it until its entry is there.
func (r *Replica) answerQuery(q query) {
	if q.question.From <= r.machine.Seq() || len(r.waiting) == maxWaitingQueries {
		r.runQuery(q)
		return
	}
	patience := waitPatience
	if q.question.Exact {
		patience = exactPatience
	}
	q.until = time.Now().Add(patience)
	r.waiting = append(r.waiting, q)
	time.AfterFunc(patience, func() {
		select {
		case r.asks <- func(r *Replica) { r.runWaiting(time.Now()) }:
		case <-r.ctx.Done():
		}
	})
}

// runWaiting runs the questions whose entry was just applied, or whose time is
// over.
func (r *Replica) runWaiting(now time.Time) {
	if len(r.waiting) == 0 {
		return
	}
	var ready []query
	kept := r.waiting[:0]
	for _, q := range r.waiting {
		if q.question.From <= r.machine.Seq() || !q.until.After(now) {
			ready = append(ready, q)
		} else {
			kept = append(kept, q)
		}
	}
	clear(r.waiting[len(kept):])
	r.waiting = kept
	for _, q := range ready {
		r.runQuery(q)
	}
}

// runQuery runs a question's queries where the machine is, and answers when it
// may.
func (r *Replica) runQuery(q query) {
	r.node.queryBytes.Add(-q.size)
	mine := q.question.Responder == r.id
	own := r.phase == host.PhaseObserving && mine && !q.question.All // its own word, which nobody counts
	if r.phase != host.PhaseVoting && !own {
		return // its state is in doubt, or not whole
	}
	began := time.Now()
	receipts := r.machine.Answer(q.question.Queries, q.question.Client)
	encoded := receipts.Encode()
	took := time.Since(began)
	r.turns.queried(took)
	r.meter.Answered(took)
	for i := range receipts {
		r.meter.Queried(receipts[i].Status)
	}
	outputs := protocol.ReadDigest(encoded)
	if !mine {
		encoded = nil
	}
	p := r.point()
	if own {
		r.sendReading(p, q.digest, outputs, encoded, q.reply)
		return
	}
	// It is stated no earlier than a vote on the entry would be.
	r.recent.when(p.at.Seq, len(encoded), func(_ point, ok bool) {
		if ok {
			r.sendReading(p, q.digest, outputs, encoded, q.reply)
		}
	})
}

// point is where the machine is.
func (r *Replica) point() point {
	members := r.machine.Members()
	return point{r.machine.Position(), members.Seq, members.Mode}
}

// note makes what the machine has applied statable: by a replica that votes,
// once it is past what it may have voted on before it was started.
func (r *Replica) note() {
	r.recent.advance(r.point(), r.phase == host.PhaseVoting && r.machine.Seq() >= r.quietTo)
}
