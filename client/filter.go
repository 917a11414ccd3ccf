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
	latest  ordering.Seq
	entries map[position]*votes
	order   []position // of entries, oldest first, to bound them
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
	sent    map[audit.Digest]sentReceipts
	held    []protocol.Answer // waiting for their membership to be known
	agreed  *statement        // what enough voters state; their receipts may still be missing
	done    bool
}

type sentReceipts struct {
	encoded  []byte
	receipts host.Receipts
}

// Bounds on what unanswered or hostile traffic can make the filter keep.
const (
	maxOpenEntries = 4096
	maxHeld        = 64
	maxViews       = 64
)

func newFilter(client host.ClientID) *filter {
	return &filter{client: client, views: make(map[ordering.Seq]audit.Members), entries: make(map[position]*votes)}
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
// signed by it, count for nothing. The receipts, if it has any, digest to what
// the vote states.
func (f *filter) add(a protocol.Answer, r host.Receipts) verdict {
	p := position{a.Vote.Epoch, a.Vote.Seq}
	v := f.entry(p)
	if v.done {
		return verdict{}
	}
	if v.agreed != nil && a.Vote.Outputs == v.agreed.outputs && r != nil {
		v.sent[a.Vote.Outputs] = sentReceipts{a.Receipts, r} // whoever sends them: they are the right ones
		return f.accept(p, v)
	}
	members, known := f.views[a.Vote.Members]
	if !known {
		if len(v.held) < maxHeld {
			v.held = append(v.held, a)
		}
		return verdict{unknown: a.Vote.Members}
	}
	key, voter := members.Voter(a.Vote.Replica)
	if !voter || members.Mode != audit.Crash && a.Vote.Verify(key) != nil {
		return verdict{}
	}
	// A voter that states two things is a fault, and its first statement counts:
	// nothing more is owed to it here. Evidence is the auditors' affair.
	if v.tally.Add(a.Vote.Replica, statement{a.Vote.Chain, a.Vote.Members, a.Vote.Outputs}) != nil || v.agreed != nil {
		return verdict{}
	}
	if r != nil {
		v.sent[a.Vote.Outputs] = sentReceipts{a.Receipts, r} // one for each voter at most
	}
	v.ballots[a.Vote.Replica] = a.Vote
	if s, ok := v.tally.Decided(members.Quorum()); ok {
		v.agreed = &s
		return f.accept(p, v)
	}
	if !v.tally.Possible(members.Quorum(), members.Voters()) {
		return verdict{failed: true, at: p}
	}
	return verdict{}
}

// accept gives out the receipts that are agreed on, or says who has them.
func (f *filter) accept(p position, v *votes) verdict {
	members := f.views[v.agreed.members]
	supporters := v.tally.Supporters(*v.agreed)
	sent, ok := v.sent[v.agreed.outputs]
	if !ok {
		missing := verdict{at: p, missing: supporters}
		for i := range members.List {
			if s, said := v.tally.Stated(members.List[i].ID); members.List[i].Voter && (!said || s != *v.agreed) {
				missing.against = append(missing.against, members.List[i].ID)
			}
		}
		return missing
	}
	out := verdict{accepted: sent.receipts, at: p}
	if members.Mode != audit.Crash {
		out.proof = &proof{client: f.client, receipts: sent.encoded}
		for _, id := range supporters {
			out.proof.votes = append(out.proof.votes, v.ballots[id])
		}
	}
	v.done, v.sent, v.ballots = true, nil, nil
	return out
}

// wants reports whether the receipts of an entry are agreed on and missing.
func (f *filter) wants(p position) bool {
	v := f.entries[p]
	return v != nil && v.agreed != nil && !v.done
}

// entry finds or makes the tally of a position, forgetting the oldest ones.
func (f *filter) entry(p position) *votes {
	if v := f.entries[p]; v != nil {
		return v
	}
	for len(f.order) >= maxOpenEntries {
		delete(f.entries, f.order[0])
		f.order = f.order[1:]
	}
	v := &votes{ballots: make(map[audit.ReplicaID]audit.Vote), sent: make(map[audit.Digest]sentReceipts)}
	f.entries[p] = v
	f.order = append(f.order, p)
	return v
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
	for _, p := range append([]position(nil), f.order...) {
		v := f.entries[p]
		held := v.held
		v.held = nil
		for _, a := range held {
			var r host.Receipts
			if len(a.Receipts) > 0 {
				r, _ = host.DecodeReceipts(a.Receipts) // it did before it was held
			}
			if d := f.add(a, r); d.accepted != nil || d.failed || d.missing != nil {
				verdicts = append(verdicts, d)
			}
		}
	}
	return verdicts
}

// learn judges what replicas say of the membership by the newest trusted one.
func (f *filter) learn(infos []host.Info) (audit.Members, bool) {
	return host.Learn(infos, f.views[f.latest])
}
