package epochs

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Recovery is an operator's word for where an epoch goes on from, where no majority can state
// anything or what it states leaves more than one way on. The replica whose journal the epoch goes on
// from signs it, and the machine keeps it: whoever asks later is told what may have been lost. Where the membership has
// an operator's key the operator signs it too, and it is nothing without.
type Recovery struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Epoch   ordering.Epoch    // that it opens
	Base    ordering.Position // after which that goes on
	Replica audit.ReplicaID   // that goes ahead
	// Voters are those that go on, Replica among them, ascending; the other voters are no
	// members any more.
	Voters    []audit.ReplicaID
	Tails     []Tail // what is given up or may be, ascending by replica
	Reason    string // the operator's
	Signature []byte // of Replica, over all of the above
	Word      []byte // the operator's signature, over the same; empty where there is no operator's key
}

// Leap is how many epochs ahead an operator's word goes. Those that it leaves out may be a majority of what they know, and
// where they hear of nobody else they go on, to epochs after theirs: all of these are before the one that it opens, so that
// both ways never have one epoch, and who hears of both knows which is later.
const Leap = 1000

// RecoveryFormat is the encoding of a recovery.
const RecoveryFormat canonical.Format = "LSy2"

// maxTails bounds the tails of a recovery: one of each member.
const maxTails = 31

// Tail is what a replica has, or had, beyond the way that was chosen.
type Tail struct {
	_       struct{} `cbor:",toarray"`
	Replica audit.ReplicaID
	// Last is where the replica said last that it was; zero if nobody knows.
	Last ordering.Position
	// Fork is the last seq at which it is known to be alike with the way that was chosen.
	Fork ordering.Seq
	// Gone says that the replica did not answer: it may have come further than Last.
	Gone bool
}

// Entries is the number of entries beyond the fork that the replica is known to have had.
func (t Tail) Entries() uint64 { return uint64(max(t.Last.Seq, t.Fork) - t.Fork) }

// ErrNoWord says that the membership has an operator's key, and a recovery is not signed with it.
var ErrNoWord = errors.New("it is not signed with the key of the machine's operator")

// Sign sets the replica's signature.
func (r *Recovery) Sign(key ed25519.PrivateKey) { r.Signature = ed25519.Sign(key, r.signed()) }

// GiveWord sets the operator's signature.
func (r *Recovery) GiveWord(key ed25519.PrivateKey) { r.Word = ed25519.Sign(key, r.signed()) }

// HasWord tells whether the recovery is an operator's word as a membership wants it: it is signed with the operator's key, or
// there is none.
func (r *Recovery) HasWord(panel audit.Members) bool {
	if panel.Operator == (audit.Operator{}) {
		return len(r.Word) == 0
	}
	return ed25519.Verify(panel.Operator[:], r.signed(), r.Word)
}

// equals tells whether another recovery decides the same, whoever has signed it.
func (r *Recovery) equals(o *Recovery) bool { return bytes.Equal(r.signed(), o.signed()) }

func (r Recovery) signed() []byte {
	r.Signature, r.Word = nil, nil
	return RecoveryFormat.Encode(r)
}

// Members checks the recovery by a membership before it, and returns the list of the one after it.
func (r *Recovery) Members(panel audit.Members) ([]audit.Member, error) {
	if len(r.Tails) > maxTails || len(r.Reason) > audit.MaxReason {
		return nil, fmt.Errorf("%d tails and a reason of %d bytes are too many", len(r.Tails), len(r.Reason))
	}
	key, voter := panel.Voter(r.Replica)
	switch {
	case !voter:
		return nil, fmt.Errorf("replica %q, which goes ahead, is not a voter", r.Replica)
	case !slices.Contains(r.Voters, r.Replica):
		return nil, fmt.Errorf("replica %q, which goes ahead, is not among the voters that go on, %v", r.Replica, r.Voters)
	case !ed25519.Verify(key, r.signed(), r.Signature):
		return nil, audit.ErrSignature
	case !r.HasWord(panel) && panel.Operator == (audit.Operator{}):
		return nil, errors.New("it has an operator's signature, and the machine no operator's key")
	case !r.HasWord(panel):
		return nil, ErrNoWord
	}
	var list []audit.Member
	for _, m := range panel.List {
		if !m.Voter || slices.Contains(r.Voters, m.ID) {
			list = append(list, m)
		}
	}
	if next := (audit.Members{List: list}); next.Voters() != len(r.Voters) || !slices.IsSorted(r.Voters) {
		return nil, fmt.Errorf("voters that go on are %v, want some of the membership, ascending", r.Voters)
	}
	return list, nil
}

// Lost tells whether what some voters stated at a seq of an epoch before is in the log no more: it is beyond the base, or
// beyond where one of those voters, who goes on now, parted from the way that was chosen. Of those alone that are gone nobody
// knows where they parted, if they did.
func (r *Recovery) Lost(epoch ordering.Epoch, seq ordering.Seq, by []audit.ReplicaID) bool {
	if epoch >= r.Epoch || slices.Contains(by, r.Replica) && seq <= r.Base.Seq {
		return false
	}
	return seq > r.Base.Seq || slices.ContainsFunc(r.Tails, func(t Tail) bool {
		return !t.Gone && seq > t.Fork && slices.Contains(by, t.Replica)
	})
}

// Losses says in words what the recovery gives up or may: a sentence for each replica.
func (r *Recovery) Losses() []string {
	list := make([]string, 0, len(r.Tails))
	for _, t := range r.Tails {
		list = append(list, t.loss(r.Base))
	}
	return list
}

func (t Tail) loss(base ordering.Position) string {
	n := t.Entries()
	switch {
	case !t.Gone:
		return fmt.Sprintf("%s had %s after seq %d of another or a longer log: given up", t.Replica, count(n), t.Fork)
	case t.Last == ordering.Position{}:
		return fmt.Sprintf("%s is gone, and where it was is not known: what it had after seq %d is lost", t.Replica, base.Seq)
	case n > 0:
		return fmt.Sprintf("%s is gone, and was at seq %d at least: %s after seq %d lost, with what it read later", t.Replica, t.Last.Seq, count(n), t.Fork)
	}
	return fmt.Sprintf("%s is gone, and was at seq %d when it was last heard of: what it read after seq %d later is lost", t.Replica, t.Last.Seq, base.Seq)
}

func count(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// recovered checks the opening by its recovery, and returns the membership's list after it.
// Those that go on have to have stopped, or they might have accepted more than it says; and there
// is no choice for an operator where their statements decide.
func (o *Opening) recovered(panel audit.Members) ([]audit.Member, error) {
	r := &o.Recovery[0]
	list, err := r.Members(panel)
	switch {
	case err != nil:
		return nil, err
	case r.Machine != o.Machine || r.Epoch != o.Epoch || r.Base != o.Base:
		return nil, fmt.Errorf("recovery is of machine %s, epoch %d after %v; the opening is of %s, %d, %v", r.Machine, r.Epoch, r.Base, o.Machine, o.Epoch, o.Base)
	}
	for _, id := range r.Voters {
		key, _ := panel.Voter(id)
		i := slices.IndexFunc(o.Stands, func(s audit.Stand) bool { return s.Replica == id })
		if i < 0 || !promises(&o.Stands[i], o.Machine, o.Epoch) || o.Stands[i].Verify(key) != nil {
			return nil, fmt.Errorf("replica %s goes on and has not stated that it stopped for epoch %d", id, o.Epoch)
		}
		if id == r.Replica && o.Stands[i].Last != o.Base {
			return nil, fmt.Errorf("replica %s, which goes ahead, is at %v, not at %v", id, o.Stands[i].Last, o.Base)
		}
	}
	if v := Decide(o.Machine, o.Stands, panel, o.Epoch); v.Decided {
		return nil, fmt.Errorf("statements decide that it goes on after %v: that needs no operator", v.Base)
	}
	return list, nil
}

// promises tells whether a statement says that its replica has stopped for an epoch.
func promises(s *audit.Stand, machine string, next ordering.Epoch) bool {
	return s.Machine == machine && s.Next == next && next > 0 && s.Last.Epoch < next && len(s.Points) <= audit.MaxPoints
}
