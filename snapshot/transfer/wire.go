// Package transfer moves states and modules between replicas over NATS.
//
// Everything is asked for by its digest and checked on arrival, so that a
// donor can waste time and nothing else. A state is a manifest, the nodes of
// its page tree and its pages; the fetcher walks the tree from the root that a
// majority has stated and asks only for what differs from its own.
//
// One request is answered by one message, which holds at most replyBytes of
// payload, compressed with zstd as a whole. Both are canonical CBOR; see
// docs/format/transfer.md.
package transfer

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Limits of one request and its reply.
const (
	maxRefs      = 128       // pages or nodes asked for at once
	replyBytes   = 512 << 10 // payload of a reply before compression
	maxBlob      = 64 << 20
	maxReplyWire = 1 << 20
)

// kind says what a request asks for.
type kind uint8

const (
	kindManifest kind = 1 // of the checkpoint at Epoch and Seq
	kindParts    kind = 2 // nodes of the page tree and pages, by place and digest
	kindBlob     kind = 3 // bytes from Offset of the blob with a digest
)

type request struct {
	_      struct{} `cbor:",toarray"`
	Kind   kind
	Epoch  ordering.Epoch
	Seq    ordering.Seq
	Parts  []snapshot.Ref
	Blob   audit.Digest
	Offset uint64
}

// reply answers a request: one item for each part, in order; a missing one
// is empty. Error is set where there is nothing to give.
type reply struct {
	_     struct{} `cbor:",toarray"`
	Error string
	Size  uint64 // of the whole blob
	Items [][]byte
}

const (
	requestFormat canonical.Format = "LST1"
	replyFormat   canonical.Format = "LSX1"
)

// compression is shared: both are safe for concurrent use by EncodeAll and
// DecodeAll.
var compress, decompress = codecs()

func codecs() (*zstd.Encoder, *zstd.Decoder) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxReplyWire))
	if err != nil {
		panic(err)
	}
	return enc, dec
}

func encodeReply(r reply) []byte { return compress.EncodeAll(replyFormat.Encode(r), nil) }

func decodeReply(data []byte) (reply, error) {
	var r reply
	raw, err := decompress.DecodeAll(data, nil)
	if err != nil {
		return r, fmt.Errorf("decompress reply: %w", err)
	}
	if err := replyFormat.Decode(raw, &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}
