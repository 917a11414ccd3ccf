// Package transfer moves states and modules between replicas over NATS.
//
// Everything is asked for by its digest and checked on arrival, so that a
// donor can waste time and nothing else. A state is a manifest, the nodes of
// its page tree and its pages; the fetcher walks the tree from the root that a
// majority has stated and asks only for what differs from its own.
//
// A request is answered by one message. Pages travel as they stand in the
// donor's store, compressed one by one, so that a donor only reads them; of a
// node travel the children that differ from the fetcher's. A donor keeps the
// checkpoint that it is asked for until it has not been asked for a while. What
// arrived is kept in a Stash, so that a fetcher that is killed goes on where
// it was. See docs/format/transfer.md.
package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"lockstep/snapshot"
)

// reply answers a request: one item for each part, in order; a missing one
// is empty. The items may end early: what follows is to be asked for again.
// Error is set where there is nothing to give.
type reply struct {
	Error string
	Size  uint64   // of the whole blob
	Items [][]byte // a part, a manifest, or a part of a blob
}

const replyMagic = "LSX1"

// Limits of one request and its reply.
const (
	maxRefs        = 128                                // pages or nodes asked for at once
	blobBytes      = 512 << 10                          // of a blob in a reply, before compression
	replyBytes     = maxRefs * (snapshot.PageSize + 64) // items of a reply
	maxBlob        = 64 << 20
	maxReplyWire   = 1 << 20
	maxErrorText   = 1 << 10
	requestTimeout = 5 * time.Second // a donor has for one reply
)

// header starts a reply: it is not CBOR, so that items are neither copied nor
// escaped on their way from a store to the wire.
func (r *reply) header() []byte {
	text := r.Error[:min(len(r.Error), maxErrorText)]
	b := append(make([]byte, 0, replyHeader), replyMagic...)
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, text...)
	return binary.AppendUvarint(b, r.Size)
}

const replyHeader = len(replyMagic) + 2*binary.MaxVarintLen64 + maxErrorText

// appendItem adds an item to an encoded reply.
func appendItem(b, item []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(item))), item...)
}

func (r *reply) encode() []byte {
	b := r.header()
	for _, item := range r.Items {
		b = appendItem(b, item)
	}
	return b
}

var errReply = errors.New("reply is cut, too long or not in the one encoding")

// decodeReply reads a reply, all of it. The items are parts of data. An Error
// in the reply is left to the caller.
func decodeReply(data []byte) (r reply, err error) {
	if len(data) > maxReplyWire || !bytes.HasPrefix(data, []byte(replyMagic)) {
		return r, errReply
	}
	c := cursor{rest: data[len(replyMagic):], ok: true}
	r.Error = string(c.bytes(maxErrorText))
	r.Size = c.number(math.MaxUint64)
	for c.ok && len(c.rest) > 0 {
		if len(r.Items) == maxRefs {
			return reply{}, errReply
		}
		r.Items = append(r.Items, c.bytes(maxReplyWire))
	}
	if !c.ok {
		return reply{}, errReply
	}
	return r, nil
}

// cursor reads varints and what they count; ok is false from the first fault on.
type cursor struct {
	rest []byte
	ok   bool
}

func (c *cursor) number(limit uint64) uint64 {
	v, n := binary.Uvarint(c.rest)
	if !c.ok || n <= 0 || n > 1 && c.rest[n-1] == 0 || v > limit { // the shortest form only
		c.ok = false
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) bytes(limit uint64) []byte {
	n := c.number(limit)
	if n > uint64(len(c.rest)) {
		c.ok = false
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}
