package transfer

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Source is where a donor's content comes from. What it returns is not kept
// or changed. ErrNotHere says that it does not have it.
type Source interface {
	Manifest(epoch ordering.Epoch, seq ordering.Seq) ([]byte, error)
	Part(snapshot.Ref) ([]byte, error)
	Blob(audit.Digest) ([]byte, error)
}

// ErrNotHere says that a source does not have what was asked for.
var ErrNotHere = errors.New("not here")

// Serve answers requests on a subject from a source until the subscription
// ends. Requests are answered one at a time, so that a greedy fetcher slows
// itself and not the donor's other work.
func Serve(conn *nats.Conn, subject string, from Source) (*nats.Subscription, error) {
	sub, err := conn.Subscribe(subject, func(m *nats.Msg) {
		if m.Reply != "" {
			// Nothing is owed to a fetcher whose connection is gone.
			_ = m.Respond(encodeReply(answer(m.Data, from)))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("serve state: %w", err)
	}
	return sub, nil
}

func answer(data []byte, from Source) reply {
	var q request
	if err := requestFormat.Decode(data, &q); err != nil {
		return reply{Error: err.Error()}
	}
	if len(q.Parts) > maxRefs {
		return reply{Error: fmt.Sprintf("%d parts asked for at once, at most %d are answered", len(q.Parts), maxRefs)}
	}
	switch q.Kind {
	case kindManifest:
		item, err := from.Manifest(q.Epoch, q.Seq)
		if err != nil {
			return reply{Error: err.Error()}
		}
		return reply{Items: [][]byte{item}}
	case kindParts:
		return parts(q.Parts, from)
	case kindBlob:
		return blobPart(q, from)
	}
	return reply{Error: fmt.Sprintf("unknown kind of request %d", q.Kind)}
}

func parts(refs []snapshot.Ref, from Source) reply {
	r := reply{Items: make([][]byte, len(refs))}
	size := 0
	for i, ref := range refs {
		item, err := from.Part(ref)
		if err != nil {
			continue // told by an empty item
		}
		if size += len(item); size > replyBytes {
			break // the fetcher asks again for what is empty
		}
		r.Items[i] = item
	}
	return r
}

func blobPart(q request, from Source) reply {
	blob, err := from.Blob(q.Blob)
	if err != nil {
		return reply{Error: err.Error()}
	}
	start := min(q.Offset, uint64(len(blob)))
	end := min(start+replyBytes, uint64(len(blob)))
	return reply{Size: uint64(len(blob)), Items: [][]byte{blob[start:end]}}
}
