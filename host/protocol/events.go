package protocol

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
)

// Events are what the guest emitted in one entry. All replicas have the same.
type Events struct {
	_      struct{}     `cbor:",toarray"`
	Before ordering.Seq // the last entry before this one that had events; 0: none
	List   []host.Event
}

// EventsFormat is the encoding of an entry's events.
const EventsFormat canonical.Format = "LSe1"

// EventsVote is a replica's vote on an entry's events, with them if it is its
// turn to send them or they are small.
type EventsVote struct {
	_      struct{}   `cbor:",toarray"`
	Vote   audit.Vote // Outputs is the EventsDigest
	Before ordering.Seq
	Events []byte // encoded Events, or empty
}

// EventsVoteFormat is the encoding of a vote on events.
const EventsVoteFormat canonical.Format = "LSv1"

const eventsDomain = "lockstep events v1\x00"

// EventsDigest is what a vote on events states as outputs.
func EventsDigest(before ordering.Seq, events []byte) audit.Digest {
	h := blake3.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(eventsDomain), uint64(before))) // a hash never fails
	_, _ = h.Write(events)
	var d audit.Digest
	h.Sum(d[:0])
	return d
}

// DecodeEventsVote reads a vote on events and checks that the events, if it has
// any, are those that it is about. The signature is the caller's to check.
func DecodeEventsVote(data []byte) (EventsVote, Events, error) {
	var v EventsVote
	if err := EventsVoteFormat.Decode(data, &v); err != nil {
		return v, Events{}, err
	}
	e, err := v.Open()
	return v, e, err
}

// Open checks and reads the events of a vote; without any they are empty.
func (v EventsVote) Open() (Events, error) {
	var e Events
	if len(v.Events) == 0 {
		return e, nil
	}
	if err := EventsFormat.Decode(v.Events, &e); err != nil {
		return e, err
	}
	if EventsDigest(e.Before, v.Events) != v.Vote.Outputs || e.Before != v.Before {
		return e, fmt.Errorf("decode events of %s: they do not digest to the vote's outputs", v.Vote.Replica)
	}
	return e, nil
}

// EventsSince asks every replica for the events of the entries from From on.
type EventsSince struct {
	_     struct{} `cbor:",toarray"`
	Nonce [16]byte // drawn for this request, so that no older page answers it
	From  ordering.Seq
}

// EventsSinceFormat is the encoding of such a request. It goes to QuerySubject.
const EventsSinceFormat canonical.Format = "LSf1"

// EventsPage answers it: votes with their events, ascending by seq, as many as
// fit. Each vote is signed by itself; the page's signature covers what it says
// besides.
type EventsPage struct {
	_         struct{} `cbor:",toarray"`
	Machine   string
	Replica   audit.ReplicaID
	Request   audit.Digest // QuestionDigest of the request's bytes
	First     ordering.Seq // events of entries from here on are kept
	Last      ordering.Seq // the last entry up to At that had events; 0: none
	At        ordering.Seq // where the replica is: the page tells of nothing after it
	Signature []byte       // empty on machines of mode crash
	Votes     []EventsVote
}

// EventsPageFormat is the encoding of a page. A signature covers the format's
// bytes of the page without votes and signature.
const EventsPageFormat canonical.Format = "LSg1"

// Sign sets the signature.
func (p *EventsPage) Sign(key ed25519.PrivateKey) { p.Signature = ed25519.Sign(key, p.signed()) }

// Verify checks the signature against the replica's public key.
func (p *EventsPage) Verify(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, p.signed(), p.Signature)
}

func (p EventsPage) signed() []byte {
	p.Signature, p.Votes = nil, nil
	return EventsPageFormat.Encode(p)
}

// EventsSubject is where replicas publish their votes on events.
func EventsSubject(machine string) string { return fmt.Sprintf("lockstep.%s.events", machine) }
