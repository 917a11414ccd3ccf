package protocol

import (
	"fmt"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
)

// Answer is what a replica sends to the client of an entry: its vote, and the
// receipts that it is about, which a replica that is not the responder leaves
// out where they are large.
type Answer struct {
	_        struct{} `cbor:",toarray"`
	Vote     audit.Vote
	Receipts []byte // encoded host.Receipts, or empty
}

// AnswerFormat is the encoding of an answer.
const AnswerFormat canonical.Format = "LSO1"

// SmallReceipts is how many bytes of receipts every voter sends.
const SmallReceipts = 1024

const outputsDomain = "lockstep outputs v1\x00"

// OutputsDigest is what a vote states as outputs: whom the encoded receipts are
// for, and what they are.
func OutputsDigest(client host.ClientID, receipts []byte) audit.Digest {
	h := blake3.New()
	_, _ = h.Write([]byte(outputsDomain)) // a hash never fails
	_, _ = h.Write(client[:])
	_, _ = h.Write(receipts)
	var d audit.Digest
	h.Sum(d[:0])
	return d
}

// DecodeAnswer reads an answer to a client and checks that the receipts, if it
// has any, are those that the vote is about; without, they are nil. The
// signature is the caller's to check.
func DecodeAnswer(client host.ClientID, data []byte) (Answer, host.Receipts, error) {
	var a Answer
	if err := AnswerFormat.Decode(data, &a); err != nil {
		return a, nil, err
	}
	if len(a.Receipts) == 0 {
		return a, nil, nil
	}
	if OutputsDigest(client, a.Receipts) != a.Vote.Outputs {
		return a, nil, fmt.Errorf("decode answer of %s: receipts do not digest to the vote's outputs", a.Vote.Replica)
	}
	r, err := host.DecodeReceipts(a.Receipts)
	return a, r, err
}

// Again asks one replica for its answer of an entry, with the receipts.
type Again struct {
	_      struct{} `cbor:",toarray"`
	Client host.ClientID
	Epoch  ordering.Epoch
	Seq    ordering.Seq
}

// AgainFormat is the encoding of such a request. It goes to QuerySubjectOf.
const AgainFormat canonical.Format = "LSa1"
