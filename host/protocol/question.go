package protocol

import (
	"fmt"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// Question is what a client asks of replicas besides the log: to run queries,
// to state where they are, or both.
type Question struct {
	_      struct{}      `cbor:",toarray"`
	Nonce  [16]byte      // drawn for this question, so that no older statement answers it
	Client host.ClientID // whom the guest sees as caller
	// Responder runs the queries and sends their receipts. With All every
	// replica runs them, and those that are not the responder send a digest.
	Responder audit.ReplicaID
	All       bool
	// From is the seq that a replica must have applied before it answers. With
	// Exact it states the chain after that very entry, and runs queries there,
	// if it is not past it.
	From  ordering.Seq
	Exact bool
	// Queries are for lockstep_query, each undone after it has run. Empty to ask
	// for the position alone.
	Queries [][]byte
}

// QuestionFormat is the encoding of a question.
const QuestionFormat canonical.Format = "LSq1"

// MaxQueries is the largest number of queries in one question.
const MaxQueries = 256

// Encode returns the question's bytes.
func (q Question) Encode() []byte { return QuestionFormat.Encode(q) }

// QuestionDigest is what readings name a question by.
func QuestionDigest(question []byte) audit.Digest { return audit.Digest(blake3.Sum256(question)) }

// DecodeQuestion reads a question and checks its limits.
func DecodeQuestion(data []byte) (Question, error) {
	var q Question
	if len(data) > ordering.MaxEntry {
		return q, ordering.ErrTooLarge
	}
	if err := QuestionFormat.Decode(data, &q); err != nil {
		return q, err
	}
	if len(q.Queries) > MaxQueries {
		return q, fmt.Errorf("question has %d queries, want at most %d", len(q.Queries), MaxQueries)
	}
	for _, input := range q.Queries {
		if len(input) > wasmabi.MaxInput {
			return q, host.ErrInputTooLarge
		}
	}
	return q, nil
}

// ReadAnswer answers a question: what the replica states, and the receipts if it is the
// responder. There may be fewer receipts than queries: those are of the first
// ones, and the others are to be asked again.
type ReadAnswer struct {
	_        struct{} `cbor:",toarray"`
	Reading  audit.Reading
	Receipts []byte // encoded Receipts, numbered from 1; empty if not the responder
	// Busy tells that too many questions wait: nothing was done. The reading then
	// names the question and states nothing else: its seq is 0.
	Busy bool
}

// ReadAnswerFormat is the encoding of an answer to a question.
const ReadAnswerFormat canonical.Format = "LSw1"

// DecodeReadAnswer reads an answer and checks that the receipts, if there are
// any, are those that the reading is about. The signature is the caller's to
// check.
func DecodeReadAnswer(data []byte) (ReadAnswer, host.Receipts, error) {
	var a ReadAnswer
	if err := ReadAnswerFormat.Decode(data, &a); err != nil {
		return a, nil, err
	}
	if len(a.Receipts) == 0 {
		return a, nil, nil
	}
	if ReadDigest(a.Receipts) != a.Reading.Outputs {
		return a, nil, fmt.Errorf("decode answer of %s: receipts do not digest to the reading's outputs", a.Reading.Replica)
	}
	r, err := host.DecodeReceipts(a.Receipts)
	return a, r, err
}

// ReadDigest is the digest of encoded receipts of queries.
func ReadDigest(receipts []byte) audit.Digest { return audit.Digest(blake3.Sum256(receipts)) }
