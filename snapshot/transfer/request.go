package transfer

import (
	"fmt"
	"math"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// kind says what a request asks for.
type kind uint8

const (
	kindManifest kind = 1 // of the checkpoint at Epoch and Seq
	kindParts    kind = 2 // nodes of the page tree and pages, by place and digest
	kindBlob     kind = 3 // bytes from Offset of the blob with a digest
	kindRelease  kind = 4 // nothing: the checkpoint at Epoch and Seq is not needed any more
	kindHold     kind = 5 // nothing: the checkpoint at Epoch and Seq is going to be needed
)

// request is a question. Epoch and Seq name the checkpoint that parts are of,
// so that the donor goes on keeping it.
type request struct {
	Kind   kind
	Epoch  ordering.Epoch
	Seq    ordering.Seq
	Holder uint64 // for whom the checkpoint is kept; a number of the fetcher's choice
	Parts  []snapshot.Ref
	Have   []byte // empty, or snapshot.Sketch of what the fetcher has in place of each part; all are nodes then
	Blob   audit.Digest
	Offset uint64
}

const requestFormat canonical.Format = "LST1"

// Bounds of an encoded request: besides its parts and sketches, and of a part.
const (
	requestBytes = 128
	partBytes    = 48
)

// encode gives a request. Requests encode and decode themselves, in a fraction of the time that it takes
// the library, which gives and takes the same bytes.
func (q request) encode() []byte {
	b := append(make([]byte, 0, requestBytes+len(q.Parts)*partBytes+len(q.Have)), requestFormat...)
	b = canonical.AppendHead(b, canonical.Array, 8)
	b = canonical.AppendHead(b, canonical.Unsigned, uint64(q.Kind))
	b = canonical.AppendHead(b, canonical.Unsigned, uint64(q.Epoch))
	b = canonical.AppendHead(b, canonical.Unsigned, uint64(q.Seq))
	b = canonical.AppendHead(b, canonical.Unsigned, q.Holder)
	b = canonical.AppendHead(b, canonical.Array, uint64(len(q.Parts)))
	for i := range q.Parts {
		p := &q.Parts[i]
		b = canonical.AppendHead(b, canonical.Array, 3)
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(p.Level))
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(p.Index))
		b = canonical.AppendBytes(b, p.Digest[:])
	}
	b = canonical.AppendBytes(b, q.Have)
	b = canonical.AppendBytes(b, q.Blob[:])
	return canonical.AppendHead(b, canonical.Unsigned, q.Offset)
}

// decodeRequest reads a request, all of it. Have is a part of data.
func decodeRequest(data []byte) (q request, err error) {
	r := requestFormat.Read(data)
	r.Array(8)
	q.Kind = kind(r.Unsigned(math.MaxUint8))
	q.Epoch = ordering.Epoch(r.Unsigned(math.MaxUint64))
	q.Seq = ordering.Seq(r.Unsigned(math.MaxUint64))
	q.Holder = r.Unsigned(math.MaxUint64)
	n := r.Head(canonical.Array)
	if n > maxRefs {
		return request{}, fmt.Errorf("%d parts asked for at once, at most %d are answered", n, maxRefs)
	}
	q.Parts = make([]snapshot.Ref, n)
	for i := range q.Parts {
		p := &q.Parts[i]
		r.Array(3)
		p.Level = uint8(r.Unsigned(math.MaxUint8))
		p.Index = uint32(r.Unsigned(math.MaxUint32))
		r.Fill(p.Digest[:])
	}
	q.Have = r.Bytes()
	r.Fill(q.Blob[:])
	q.Offset = r.Unsigned(math.MaxUint64)
	if err := r.End(); err != nil {
		return request{}, err
	}
	return q, nil
}
