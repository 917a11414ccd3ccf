package node

import (
	"sync"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// events are the last ones of the machine, each with this replica's vote, for
// subscribers that missed them or come later.
type events struct {
	mu    sync.Mutex
	first ordering.Seq // all of entries from here on are kept
	last  ordering.Seq // newest entry that had events
	list  []protocol.EventsVote
	bytes int
}

// Bounds of events.
const (
	maxEventEntries = 8192
	maxEventBytes   = 64 << 20
	pageBytes       = 512 << 10 // of a page
	pageVotes       = 1024
)

// emitEvents votes on an entry's events, and keeps them.
func (r *Replica) emitEvents(t *host.Transition) {
	members := r.machine.Members()
	encoded := protocol.EventsFormat.Encode(protocol.Events{Before: t.EventsBefore, List: t.Events})
	v := protocol.EventsVote{Before: t.EventsBefore, Events: encoded, Vote: audit.Vote{
		Machine: string(r.name), Replica: r.id, Epoch: t.Epoch, Seq: t.Seq, Chain: t.Chain,
		Members: members.Seq, Outputs: protocol.EventsDigest(t.EventsBefore, encoded),
	}}
	if members.Mode != audit.Crash {
		v.Vote.SignEvents(r.key)
	}
	r.events.keep(v)
	if r.phase != host.PhaseVoting || t.Seq <= r.quietTo {
		return
	}
	if members.Mode != audit.Crash && len(encoded) > protocol.SmallReceipts && voterAt(members, uint64(t.Seq)) != r.id {
		v.Events = nil
	}
	r.outbox.put(t.Seq, protocol.EventsSubject(string(r.name)), protocol.EventsVoteFormat.Encode(v))
}

// voterAt is the voter at an index, modulo their number, ascending by id.
func voterAt(members audit.Members, n uint64) audit.ReplicaID {
	var voters []audit.ReplicaID
	for i := range members.List {
		if members.List[i].Voter {
			voters = append(voters, members.List[i].ID)
		}
	}
	if len(voters) == 0 {
		return ""
	}
	return voters[n%uint64(len(voters))]
}

// begin takes note of a state that the replica goes on from, whose last entry with
// events is last: what is kept of later entries is void, and what is not kept of
// earlier ones is missing.
func (e *events) begin(last ordering.Seq) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.list) > 0 && e.list[len(e.list)-1].Vote.Seq > last {
		e.bytes -= len(e.list[len(e.list)-1].Events)
		e.list = e.list[:len(e.list)-1]
	}
	if len(e.list) > 0 && e.list[len(e.list)-1].Vote.Seq == last {
		e.last = last
	} else if e.last != last {
		e.list, e.bytes, e.first, e.last = nil, 0, last+1, last
	}
}

func (e *events) keep(v protocol.EventsVote) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Before != e.last {
		// A state from elsewhere.
		e.list, e.bytes, e.first = nil, 0, v.Before+1
	}
	e.last = v.Vote.Seq
	e.list = append(e.list, v)
	e.bytes += len(v.Events)
	for len(e.list) > maxEventEntries || e.bytes > maxEventBytes {
		e.bytes -= len(e.list[0].Events)
		e.first = e.list[0].Vote.Seq + 1
		e.list[0] = protocol.EventsVote{}
		e.list = e.list[1:]
	}
}

// page returns the votes on entries in from..to.
func (e *events) page(from, to ordering.Seq) protocol.EventsPage {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := protocol.EventsPage{First: e.first, At: to}
	if e.last <= to {
		p.Last = e.last
	}
	bytes := 0
	for i := range e.list {
		v := &e.list[i]
		if v.Vote.Seq > to {
			break
		}
		p.Last = v.Vote.Seq
		if v.Vote.Seq < from || len(p.Votes) == pageVotes || len(p.Votes) > 0 && bytes+len(v.Events) > pageBytes {
			continue
		}
		bytes += len(v.Events)
		p.Votes = append(p.Votes, *v)
	}
	return p
}

// answerEvents sends a page of what may be stated.
func (r *Replica) answerEvents(m *nats.Msg) {
	var q protocol.EventsSince
	if err := protocol.EventsSinceFormat.Decode(m.Data, &q); err != nil || m.Reply == "" {
		r.logger.Debug("drop request for events", "err", err)
		return
	}
	r.recent.when(0, 0, func(p point, ok bool) {
		if !ok {
			return
		}
		page := r.events.page(q.From, p.at.Seq)
		page.Machine, page.Replica, page.Request = string(r.name), r.id, protocol.QuestionDigest(m.Data)
		if p.mode != audit.Crash {
			page.Sign(r.key)
		}
		r.publish(m.Reply, protocol.EventsPageFormat.Encode(page))
	})
}
