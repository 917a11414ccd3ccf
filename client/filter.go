package client

import (
	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// filter is the output filter: it takes the answers of single replicas and
// gives out what enough voters stated alike, once. It is pure.
type filter struct {
	client host.ClientID
	// views are the memberships that are trusted, by the entry that made them.
	views map[ordering.Seq]audit.Members
	// latest is the newest of them.
	latest ordering.Seq
	// founders are the voters that a DEPLOY of this client names: as long as there is no machine, and no membership, a
	// majority of them says why.
	founders audit.Members
	entries  map[position]*votes
	agreed   []position // the entries on which enough voters agree, oldest first, to bound them
	open     map[audit.ReplicaID]*ballots
	held     heldAnswers
}

type position struct {
	epoch ordering.Epoch
	seq   ordering.Seq
}

// statement is what voters must state alike.
type statement struct {
	chain   ordering.Chain
	members ordering.Seq
	outputs audit.Digest
}

type votes struct {
	tally   audit.Tally[statement]
	ballots map[audit.ReplicaID]audit.Vote
	sent    map[audit.ReplicaID]sentReceipts // by who sent them
	agreed  *statement                       // what enough voters state; their receipts may still be missing
	done    bool
}

type sentReceipts struct {
	outputs  audit.Digest
	encoded  []byte
	receipts host.Receipts
}

// ballots are the entries on which one voter's vote is kept.
type ballots struct {
	order []position // oldest first; those that are agreed on may be among them
	bytes int        // of the receipts that it sent
}

// Bounds on what unanswered or hostile traffic can make the filter keep. Of a voter
// that exceeds its share the oldest votes go, and nobody else's.
const (
	maxOpenEntries  = 4096     // of one voter, and of those that are agreed on
	maxOpenReceipts = 16 << 20 // bytes, of one voter
	maxViews        = 64
)

func newFilter(client host.ClientID) *filter {
	return &filter{
		client: client, views: make(map[ordering.Seq]audit.Members), entries: make(map[position]*votes),
		open: make(map[audit.ReplicaID]*ballots), held: newHeldAnswers(),
	}
}

// verdict is what an answer led to.
type verdict struct {
	accepted host.Receipts // non-nil once, when enough voters agree and one has sent them
	proof    *proof        // with accepted; nil where votes are not signed
	at       position
	failed   bool              // no majority can be reached any more
	unknown  ordering.Seq      // non-zero: the membership made at this entry must be learned
	missing  []audit.ReplicaID // non-nil once: these voters agree, and none has sent the receipts
	against  []audit.ReplicaID // with missing: the voters that do not agree, or are silent
}

// add counts one replica's answer. Answers that are not a voter's, or not
// signed by it, count for nothing, and nothing of them is kept. The receipts, if it
// has any, digest to what the vote states.
func (f *filter) add(a protocol.Answer, r host.Receipts) verdict {
	p := position{a.Vote.Epoch, a.Vote.Seq}
	v := f.entries[p]
	if v != nil && v.done {
		return verdict{}
	}
	if v != nil && v.agreed != nil && a.Vote.Outputs == v.agreed.outputs && r != nil {
		return f.accept(p, v, sentReceipts{a.Vote.Outputs, a.Receipts, r}) // whoever sends them: they are the right ones
	}
	members, known := f.view(a.Vote.Members)
	if !known {
		f.hold(a)
		return verdict{unknown: a.Vote.Members}
	}
	key, voter := members.Voter(a.Vote.Replica)
	if !voter || members.Mode != audit.Crash && a.Vote.Verify(key) != nil {
		return verdict{}
	}
	if v != nil {
		// A voter that states two things is a fault, and its first statement counts:
		// nothing more is owed to it here. Evidence is the auditors' affair.
		if _, again := v.tally.Stated(a.Vote.Replica); again || v.agreed != nil {
			return verdict{}
		}
	}
	v = f.keep(p, a, r)
	if s, ok := v.tally.Decided(members.Quorum()); ok {
		return f.agree(p, v, s)
	}
	if !v.tally.Possible(members.Quorum(), members.Voters()) {
		return verdict{failed: true, at: p}
	}
	return verdict{}
}

// agree takes note of what enough voters state. Of their receipts those are kept that
// the others agree with, and there is no need of any once they are given out.
func (f *filter) agree(p position, v *votes, s statement) verdict {
	v.agreed = &s
	f.agreed = append(f.agreed, p)
	if len(f.agreed) > maxOpenEntries {
		delete(f.entries, f.agreed[0])
		f.agreed = f.agreed[1:]
	}
	var sent *sentReceipts
	for voter, r := range v.sent {
		f.open[voter].bytes -= len(r.encoded)
		if r.outputs == s.outputs {
			sent = &r
		}
	}
	v.sent = nil
	if sent == nil {
		return f.missing(p, v)
	}
	return f.accept(p, v, *sent)
}

// keep enters a voter's vote, and makes room for it among those of the same voter.
func (f *filter) keep(p position, a protocol.Answer, r host.Receipts) *votes {
	voter := a.Vote.Replica
	b := f.open[voter]
	if b == nil {
		b = new(ballots)
		f.open[voter] = b
	}
	for len(b.order) > 0 && (len(b.order) >= maxOpenEntries || b.bytes+len(a.Receipts) > maxOpenReceipts) {
		f.forget(b.order[0], voter)
		b.order[0], b.order = position{}, b.order[1:]
	}
	v := f.entries[p]
	if v == nil {
		v = &votes{ballots: make(map[audit.ReplicaID]audit.Vote), sent: make(map[audit.ReplicaID]sentReceipts)}
		f.entries[p] = v
	}
	// It states this first here, so that there is no conflict.
	_ = v.tally.Add(voter, statement{a.Vote.Chain, a.Vote.Members, a.Vote.Outputs})
	v.ballots[voter] = a.Vote
	if r != nil {
		v.sent[voter] = sentReceipts{a.Vote.Outputs, a.Receipts, r}
		b.bytes += len(a.Receipts)
	}
	b.order = append(b.order, p)
	return v
}

// forget takes back a voter's vote on an entry on which there is no agreement.
func (f *filter) forget(p position, voter audit.ReplicaID) {
	v := f.entries[p]
	if v == nil || v.agreed != nil {
		return
	}
	v.tally.Remove(voter)
	f.open[voter].bytes -= len(v.sent[voter].encoded)
	delete(v.sent, voter)
	if delete(v.ballots, voter); len(v.ballots) == 0 {
		delete(f.entries, p)
	}
}

// missing says who has the receipts that are agreed on.
func (f *filter) missing(p position, v *votes) verdict {
	members, _ := f.view(v.agreed.members)
	out := verdict{at: p, missing: v.tally.Supporters(*v.agreed)}
	for i := range members.List {
		if s, said := v.tally.Stated(members.List[i].ID); members.List[i].Voter && (!said || s != *v.agreed) {
			out.against = append(out.against, members.List[i].ID)
		}
	}
	return out
}

// accept gives out the receipts that are agreed on.
func (f *filter) accept(p position, v *votes, sent sentReceipts) verdict {
	out := verdict{accepted: sent.receipts, at: p}
	if members, _ := f.view(v.agreed.members); members.Mode != audit.Crash {
		out.proof = &proof{client: f.client, receipts: sent.encoded}
		for _, id := range v.tally.Supporters(*v.agreed) {
			out.proof.votes = append(out.proof.votes, v.ballots[id])
		}
	}
	v.done, v.ballots = true, nil
	return out
}

// wants reports whether the receipts of an entry are agreed on and missing.
func (f *filter) wants(p position) bool {
	v := f.entries[p]
	return v != nil && v.agreed != nil && !v.done
}

// view is a membership that is trusted, by the entry that made it.
func (f *filter) view(made ordering.Seq) (audit.Members, bool) {
	if made == 0 {
		return f.founders, len(f.founders.List) > 0
	}
	m, known := f.views[made]
	return m, known
}

// trust adds a membership and returns the verdicts on answers that waited for it.
func (f *filter) trust(m audit.Members) []verdict {
	if _, known := f.views[m.Seq]; known {
		return nil
	}
	if len(f.views) >= maxViews {
		oldest := m.Seq
		for seq := range f.views {
			oldest = min(oldest, seq)
		}
		delete(f.views, oldest)
	}
	f.views[m.Seq] = m
	f.latest = max(f.latest, m.Seq)
	var verdicts []verdict
	for _, a := range f.held.take() {
		var r host.Receipts
		if len(a.Receipts) > 0 {
			r, _ = host.DecodeReceipts(a.Receipts) // it did before it was held
		}
		if d := f.add(a, r); d.accepted != nil || d.failed || d.missing != nil {
			verdicts = append(verdicts, d)
		}
	}
	return verdicts
}

// learn judges what replicas say of the membership by the newest trusted one.
func (f *filter) learn(infos []host.Info) (audit.Members, bool) {
	m, _, ok := host.Learn(infos, f.views[f.latest])
	return m, ok
}
