package epochs

import (
	"errors"
	"fmt"

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
	// Recovery is an operator's word instead; the statements are then of those that go on. At most one.
	Recovery []Recovery
}

// maxStands bounds the statements of an opening: one of each member.
const maxStands = 31

// OpeningFormat is the encoding of an opening.
const OpeningFormat canonical.Format = "LSo2"

// ErrNoOpening says that an entry of a later epoch does not prove that its epoch goes on from
// where the machine is.
var ErrNoOpening = errors.New("epoch does not open with a proof")

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

// Verify checks the opening by a membership, that at its base.
func (o *Opening) Verify(panel audit.Members) error {
	_, err := o.Members(panel)
	return err
}
