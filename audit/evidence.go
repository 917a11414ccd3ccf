package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Evidence is signed statements that show a replica to have been at fault, to
// anybody who has the machine's membership. What the fault was they cannot say:
// its memory, its disk, its program, or whoever has its key.
type Evidence struct {
	_          struct{} `cbor:",toarray"`
	Machine    string
	Replica    ReplicaID // at fault
	Kind       EvidenceKind
	Statements [][]byte // messages of RecordFormat or VoteFormat, as the kind says
}

// EvidenceFormat is the encoding of evidence.
const EvidenceFormat canonical.Format = "LSd1"

// EvidenceKind is how the statements show the fault.
type EvidenceKind uint8

// The kinds. Values are part of the format; never renumber.
const (
	// Contradiction: two statements of the replica about one position that cannot
	// both be true, whatever the others say. The bytes of the first are the lesser.
	Contradiction EvidenceKind = 1
	// Refutation: a record of the replica, and then, ascending by replica, those of
	// a majority of voters that state another state at that position.
	Refutation EvidenceKind = 2
)

func (k EvidenceKind) String() string {
	switch k {
	case Contradiction:
		return "contradiction"
	case Refutation:
		return "refutation"
	}
	return fmt.Sprintf("kind %d of evidence", uint8(k))
}

// Bounds of evidence.
const (
	MaxEvidence   = 32 << 10 // bytes, encoded
	maxStatements = 64
)

// ErrNoEvidence says that statements do not show what they are said to.
var ErrNoEvidence = errors.New("it is not shown that the replica was at fault")

// Fault is what evidence shows.
type Fault struct {
	Machine string
	Replica ReplicaID
	Kind    EvidenceKind
	At      Position
	// Stated are two of the statements that cannot both be true: both of the
	// replica's, or one of its own and one of the majority's.
	Stated [2]Claim
	By     []ReplicaID // Refutation: the majority
}

// Claim is what a vote or a record says of one position.
type Claim struct {
	Machine string
	Replica ReplicaID
	At      Position
	Members ordering.Seq
	Chain   ordering.Chain
	Root    Digest // of a record
	Outputs Digest // of a vote
	Vote    bool

	verify func(ed25519.PublicKey) error
}

func (c Claim) String() string {
	if c.Vote {
		return fmt.Sprintf("chain %x, outputs %v", c.Chain[:8], c.Outputs)
	}
	return fmt.Sprintf("chain %x, root %v", c.Chain[:8], c.Root)
}

// contradicts reports whether two claims about one position cannot both be true.
func (c Claim) contradicts(d Claim) bool {
	return c.Chain != d.Chain || c.Vote == d.Vote && (c.Root != d.Root || c.Outputs != d.Outputs)
}

// DecodeClaim reads a vote or a record. Its signature is still to be checked.
func DecodeClaim(message []byte) (Claim, error) {
	if VoteFormat.Match(message) {
		var v Vote
		if err := VoteFormat.Decode(message, &v); err != nil {
			return Claim{}, err
		}
		return Claim{v.Machine, v.Replica, Position{v.Epoch, v.Seq}, v.Members, v.Chain, Digest{}, v.Outputs, true, v.Verify}, nil
	}
	var r Record
	if err := RecordFormat.Decode(message, &r); err != nil {
		return Claim{}, err
	}
	return Claim{r.Machine, r.Replica, Position{r.Epoch, r.Seq}, r.Members, r.Chain, r.Root, Digest{}, false, r.Verify}, nil
}

// Contradict makes evidence of two encoded statements of one replica. Whether it
// is any is for Verify to say.
func Contradict(machine string, replica ReplicaID, a, b []byte) Evidence {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return Evidence{Machine: machine, Replica: replica, Kind: Contradiction, Statements: [][]byte{a, b}}
}

// DecodeEvidence reads evidence, which shows nothing before Verify.
func DecodeEvidence(data []byte) (Evidence, error) {
	var e Evidence
	if len(data) > MaxEvidence {
		return e, fmt.Errorf("evidence has %d bytes, want at most %d", len(data), MaxEvidence)
	}
	if err := EvidenceFormat.Decode(data, &e); err != nil {
		return e, err
	}
	if len(e.Statements) < 2 || len(e.Statements) > maxStatements {
		return e, fmt.Errorf("evidence has %d statements, want 2 to %d", len(e.Statements), maxStatements)
	}
	return e, nil
}

// Encode returns the evidence's bytes.
func (e Evidence) Encode() []byte { return EvidenceFormat.Encode(e) }

// Verify checks evidence by a membership, which the caller trusts to be that of
// the machine. A contradiction needs of it the replica's key alone; a refutation
// must be of that very membership. Its errors wrap ErrNoEvidence.
func (e Evidence) Verify(members Members) (Fault, error) {
	claims, err := e.claims(members)
	if err == nil && len(claims) < 2 {
		err = fmt.Errorf("%d statements", len(claims))
	}
	if err == nil {
		switch e.Kind {
		case Contradiction:
			err = e.contradiction(claims)
		case Refutation:
			err = e.refutation(claims, members)
		default:
			err = fmt.Errorf("unknown %v", e.Kind)
		}
	}
	if err != nil {
		return Fault{}, fmt.Errorf("%w: %w", ErrNoEvidence, err)
	}
	f := Fault{Machine: e.Machine, Replica: e.Replica, Kind: e.Kind, At: claims[0].At, Stated: [2]Claim{claims[0], claims[1]}}
	if e.Kind == Refutation {
		for _, c := range claims[1:] {
			f.By = append(f.By, c.Replica)
		}
	}
	return f, nil
}

// claims reads the statements and checks that each is signed by a member, and
// about the machine and the position of the first.
func (e Evidence) claims(members Members) ([]Claim, error) {
	var list []Claim
	for i, message := range e.Statements {
		c, err := DecodeClaim(message)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		m := members.Find(c.Replica)
		switch {
		case c.Machine != e.Machine:
			return nil, fmt.Errorf("statement %d is about machine %q, want %q", i+1, c.Machine, e.Machine)
		case i > 0 && c.At != list[0].At:
			return nil, fmt.Errorf("statement %d is about epoch %d, seq %d, the first about epoch %d, seq %d", i+1, c.At.Epoch, c.At.Seq, list[0].At.Epoch, list[0].At.Seq)
		case m == nil:
			return nil, fmt.Errorf("statement %d is of %s, which the membership of seq %d does not have", i+1, c.Replica, members.Seq)
		}
		if err := c.verify(m.Key); err != nil {
			return nil, fmt.Errorf("statement %d, of %s: %w", i+1, c.Replica, err)
		}
		list = append(list, c)
	}
	return list, nil
}

func (e Evidence) contradiction(claims []Claim) error {
	switch a, b := claims[0], claims[1]; {
	case len(claims) != 2:
		return fmt.Errorf("%d statements, want 2", len(claims))
	case a.Replica != e.Replica || b.Replica != e.Replica:
		return fmt.Errorf("statements are of %s and %s, want both of %s", a.Replica, b.Replica, e.Replica)
	case bytes.Compare(e.Statements[0], e.Statements[1]) >= 0:
		return errors.New("statements are not in order")
	case !a.contradicts(b):
		return errors.New("the two statements can both be true")
	}
	return nil
}

func (e Evidence) refutation(claims []Claim, members Members) error {
	own, others := claims[0], claims[1:]
	if own.Replica != e.Replica || own.Vote {
		return fmt.Errorf("the first statement is not a record of %s", e.Replica)
	}
	for i, c := range others {
		_, voter := members.Voter(c.Replica)
		switch {
		case c.Vote || !voter || c.Replica == e.Replica:
			return fmt.Errorf("statement %d is not a record of another voter", i+2)
		case i > 0 && c.Replica <= others[i-1].Replica:
			return errors.New("voters are not in order")
		case c.Members != members.Seq:
			return fmt.Errorf("it counts by the membership of seq %d, this one is of seq %d", c.Members, members.Seq)
		case i > 0 && c.contradicts(others[0]):
			return errors.New("the majority does not state the same")
		case !c.contradicts(own):
			return errors.New("the replica states the same as the others")
		}
	}
	if len(others) < members.Majority() {
		return fmt.Errorf("%d of %d voters state another state, want %d", len(others), members.Voters(), members.Majority())
	}
	return nil
}

// Contradiction is evidence against the replica of a record, whose signature was
// checked, if it stated something else before at that position.
func (l *Ledger) Contradiction(r Record) (Evidence, bool) {
	page := l.page(Position{r.Epoch, r.Seq}, false)
	if page == nil {
		return Evidence{}, false
	}
	first, ok := page.signed[r.Replica]
	if !ok || first.Chain == r.Chain && first.Root == r.Root {
		return Evidence{}, false
	}
	return Contradict(r.Machine, r.Replica, RecordFormat.Encode(first), RecordFormat.Encode(r)), true
}

// Refutation is evidence against a replica that stated another state at a
// position than a majority of a membership, if their records tell.
func (l *Ledger) Refutation(at Position, replica ReplicaID, members Members) (Evidence, bool) {
	page := l.page(at, false)
	if page == nil {
		return Evidence{}, false
	}
	agreed, ok := page.states.Decided(members.Majority())
	own, stated := page.signed[replica]
	if !ok || !stated || (State{own.Chain, own.Root}) == agreed {
		return Evidence{}, false
	}
	e := Evidence{Machine: own.Machine, Replica: replica, Kind: Refutation, Statements: [][]byte{RecordFormat.Encode(own)}}
	var majority []Record
	for id, r := range page.signed {
		if _, voter := members.Voter(id); voter && r.Members == members.Seq && (State{r.Chain, r.Root}) == agreed {
			majority = append(majority, r)
		}
	}
	slices.SortFunc(majority, func(a, b Record) int { return bytes.Compare([]byte(a.Replica), []byte(b.Replica)) })
	if len(majority) < members.Majority() {
		return Evidence{}, false
	}
	for _, r := range majority[:members.Majority()] { // more would show no more
		e.Statements = append(e.Statements, RecordFormat.Encode(r))
	}
	return e, true
}

// Kept is evidence as a node keeps it, with what it was judged by.
type Kept struct {
	_        struct{} `cbor:",toarray"`
	Found    int64    // Unix time in nanoseconds, by the node's clock
	Members  Members  // by which the node verified it
	Evidence []byte   // a message of EvidenceFormat
}

// KeptFormat is the encoding of kept evidence.
const KeptFormat canonical.Format = "LSk2"

// Open reads kept evidence and verifies it by the membership that comes with it,
// which is the word of the node that kept it.
func (k Kept) Open() (Fault, error) {
	e, err := DecodeEvidence(k.Evidence)
	if err != nil {
		return Fault{}, err
	}
	return e.Verify(k.Members)
}
