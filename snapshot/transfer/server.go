package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Source is where a donor's content comes from. What it returns is not kept
// or changed. ErrNotHere says that it does not have it.
type Source interface {
	Manifest(epoch ordering.Epoch, seq ordering.Seq) ([]byte, error)
	// Hold keeps a checkpoint for a holder for so long from now; 0 lets it go.
	Hold(epoch ordering.Epoch, seq ordering.Seq, holder uint64, d time.Duration) error
	// Parts gives each of the parts in order, nil where it is not here, until
	// give returns false: a node as it is, a page as made by Pack. They need not
	// be checked, and are valid until give returns.
	Parts(refs []snapshot.Ref, give func(part []byte) bool) error
	Blob(audit.Digest) ([]byte, error)
}

// ErrNotHere says that a source does not have what was asked for.
var ErrNotHere = errors.New("not here")

// Blobs is a source that has no states.
type Blobs func(audit.Digest) ([]byte, error)

// Blob implements Source.
func (b Blobs) Blob(d audit.Digest) ([]byte, error) { return b(d) }

// Manifest implements Source.
func (Blobs) Manifest(ordering.Epoch, ordering.Seq) ([]byte, error) { return nil, ErrNotHere }

// Hold implements Source.
func (Blobs) Hold(ordering.Epoch, ordering.Seq, uint64, time.Duration) error { return ErrNotHere }

// Parts implements Source.
func (Blobs) Parts([]snapshot.Ref, func([]byte) bool) error { return ErrNotHere }

// HoldFor is how long a donor keeps a checkpoint after the last request for a
// part of it.
const HoldFor = 30 * time.Second

// Serve answers requests on a subject from a source until ctx ends or the
// subscription is ended. Requests are answered one at a time, so that a greedy
// fetcher slows itself and not the donor's other work. limit may be nil, and
// may be shared; given, if not nil, is told of the bytes that are sent.
func Serve(ctx context.Context, conn *nats.Conn, subject string, from Source, limit *Limit, given func(bytes int)) (*nats.Subscription, error) {
	s := &server{from: from, budget: limit.budget}
	sub, err := conn.Subscribe(subject, func(m *nats.Msg) {
		if m.Reply == "" {
			return
		}
		answer := s.answer(m.Data)
		if limit.wait(ctx, len(answer)) == nil {
			if given != nil {
				given(len(answer))
			}
			_ = m.Respond(answer) // nothing is owed to a fetcher whose connection is gone
		}
	})
	if err != nil {
		return nil, fmt.Errorf("serve state: %w", err)
	}
	return sub, nil
}

type server struct {
	from   Source
	budget func() int // bytes of a reply
	buffer []byte
	long   long
}

// answer is valid until the next one: sending a reply copies it.
func (s *server) answer(data []byte) []byte {
	answer, err := s.reply(data)
	if err != nil {
		answer = (&reply{Error: err.Error()}).encode()
	}
	return answer
}

func (s *server) reply(data []byte) ([]byte, error) {
	q, err := decodeRequest(data)
	if err != nil {
		return nil, err
	}
	switch q.Kind {
	case kindManifest:
		if err := s.from.Hold(q.Epoch, q.Seq, q.Holder, HoldFor); err != nil {
			return nil, err
		}
		return s.stretch(q, func() ([]byte, error) { return s.from.Manifest(q.Epoch, q.Seq) })
	case kindParts:
		return s.parts(q)
	case kindBlob:
		return s.stretch(q, func() ([]byte, error) { return s.from.Blob(q.Blob) })
	case kindHold:
		return (&reply{}).encode(), s.from.Hold(q.Epoch, q.Seq, q.Holder, HoldFor)
	case kindRelease:
		return (&reply{}).encode(), s.from.Hold(q.Epoch, q.Seq, q.Holder, 0)
	}
	return nil, fmt.Errorf("unknown kind of request %d", q.Kind)
}

func (s *server) parts(q request) ([]byte, error) {
	sketched := len(q.Have) > 0
	if sketched && len(q.Have) != len(q.Parts)*snapshot.SketchSize {
		return nil, fmt.Errorf("sketches of %d bytes for %d nodes", len(q.Have), len(q.Parts))
	}
	if err := s.from.Hold(q.Epoch, q.Seq, q.Holder, HoldFor); err != nil {
		return nil, fmt.Errorf("checkpoint at seq %d: %w", q.Seq, err)
	}
	b := append(s.buffer[:0], (&reply{}).header()...)
	defer func() { s.buffer = b }()
	items, budget := 0, s.budget()
	err := s.from.Parts(q.Parts, func(part []byte) bool {
		if sketched && len(part) == snapshot.NodeSize {
			part = snapshot.Differing(part, q.Have[items*snapshot.SketchSize:])
		}
		if items > 0 && len(b)+len(part) > budget {
			return false // the fetcher asks again for what is not there
		}
		b = appendItem(b, part)
		items++
		return true
	})
	return b, err
}

// stretch gives a part of something long, from the offset on.
func (s *server) stretch(q request, read func() ([]byte, error)) ([]byte, error) {
	most := uint64(min(blobBytes, s.budget()))
	whole, err := s.long.get(q, most, read)
	if err != nil {
		return nil, err
	}
	start := min(q.Offset, uint64(len(whole)))
	end := min(start+most, uint64(len(whole)))
	r := reply{Size: uint64(len(whole)), Items: [][]byte{Pack(whole[start:end])}}
	return r.encode(), nil
}
