package epochs

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Opening is the first entry of every epoch but the first: the proof that the epoch
// goes on from where the one before can have come to. A machine enters an epoch by nothing else.
type Opening struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Epoch   ordering.Epoch    // that this opens
	Base    ordering.Position // after which it goes on
	Stands  []audit.Stand     // of a majority of the voters, see Decide
	// Recovery is an operator's word instead, where no majority can state anything or what it
	// states leaves more than one way on. At most one.
	Recovery []Recovery
}

// Recovery is what an operator decided. The replica that goes ahead signs it.
type Recovery struct {
	_       struct{} `cbor:",toarray"`
	Replica audit.ReplicaID
	// Voters are those that go on; the others are no members any more.
	Voters []audit.ReplicaID // ascending
	Reason string
	// Signature is over the opening with this field empty.
	Signature []byte
}

// maxStands bounds the statements of an opening: one of each member.
const maxStands = 31

// OpeningFormat is the encoding of an opening.
const OpeningFormat canonical.Format = "LSo1"

// ErrNoOpening says that an entry of a later epoch does not prove that its epoch goes on from
// where the machine is.
var ErrNoOpening = errors.New("epoch does not open with a proof")

// Sign signs the operator's decision.
func (o *Opening) Sign(key ed25519.PrivateKey) {
	o.Recovery[0].Signature = nil
	o.Recovery[0].Signature = ed25519.Sign(key, OpeningFormat.Encode(o))
}

// Members checks the opening by the membership at its base, and returns the membership in its
// epoch.
func (o *Opening) Members(panel audit.Members) ([]audit.Member, error) {
	switch {
	case len(o.Stands) > maxStands || len(o.Recovery) > 1:
		return nil, fmt.Errorf("%d statements and %d decisions are too many", len(o.Stands), len(o.Recovery))
	case len(o.Recovery) == 1:
		return o.recovered(panel)
	}
	v := Decide(o.Machine, o.Stands, panel, o.Epoch)
	switch {
	case !v.Decided:
		return nil, fmt.Errorf("statements leave open after which entry it starts: %d more are needed, %d positions, %d ways on", v.Missing, len(v.Ask), len(v.Split))
	case v.Base != o.Base:
		return nil, fmt.Errorf("statements lead to %v, not to %v", v.Base, o.Base)
	}
	return panel.List, nil
}

// recovered checks an operator's decision.
func (o *Opening) recovered(panel audit.Members) ([]audit.Member, error) {
	r := o.Recovery[0]
	key, voter := panel.Voter(r.Replica)
	if !voter {
		return nil, fmt.Errorf("replica %q, which goes ahead, is not a voter", r.Replica)
	}
	unsigned := *o
	unsigned.Recovery = []Recovery{r}
	unsigned.Recovery[0].Signature = nil
	if !ed25519.Verify(key, OpeningFormat.Encode(unsigned), r.Signature) {
		return nil, audit.ErrSignature
	}
	var list []audit.Member
	for _, m := range panel.List {
		if !m.Voter || slices.Contains(r.Voters, m.ID) {
			list = append(list, m)
		}
	}
	next := audit.Members{List: list}
	if next.Voters() != len(r.Voters) || next.Voters() == 0 || !slices.IsSorted(r.Voters) {
		return nil, fmt.Errorf("voters that go on are %v, want some of the membership, ascending", r.Voters)
	}
	return list, nil
}

// Verify checks the opening by a membership, that at its base.
func (o *Opening) Verify(panel audit.Members) error {
	_, err := o.Members(panel)
	return err
}
