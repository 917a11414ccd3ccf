package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/zeebo/blake3"

	"lockstep/audit"
)

// requestTimeout is how long a donor has for one reply.
const requestTimeout = 2 * time.Second

// Blob fetches a blob of at most limit bytes from the first of the subjects
// that gives the right one. Every error names the subject it is about.
func Blob(ctx context.Context, conn *nats.Conn, subjects []string, digest audit.Digest, limit int) ([]byte, error) {
	if limit > maxBlob {
		limit = maxBlob
	}
	errs := []error{fmt.Errorf("fetch blob %v", digest)}
	for _, subject := range subjects {
		blob, err := blobFrom(ctx, conn, subject, digest, limit)
		if err == nil {
			return blob, nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", subject, err))
	}
	return nil, errors.Join(errs...)
}

func blobFrom(ctx context.Context, conn *nats.Conn, subject string, digest audit.Digest, limit int) ([]byte, error) {
	var blob []byte
	for {
		r, _, err := ask(ctx, conn, subject, request{Kind: kindBlob, Blob: digest, Offset: uint64(len(blob))})
		if err != nil {
			return nil, err
		}
		if r.Size > uint64(limit) {
			return nil, fmt.Errorf("blob has %d bytes, at most %d are taken", r.Size, limit)
		}
		if len(r.Items) != 1 || len(r.Items[0]) == 0 && uint64(len(blob)) < r.Size || uint64(len(blob)+len(r.Items[0])) > r.Size {
			return nil, errors.New("reply does not go on where the blob was")
		}
		blob = append(blob, r.Items[0]...)
		if uint64(len(blob)) == r.Size {
			break
		}
	}
	if audit.Digest(blake3.Sum256(blob)) != digest {
		return nil, errors.New("bytes do not have the digest that was asked for")
	}
	return blob, nil
}

// ask sends one request and reads its reply; wire is its size as received.
func ask(ctx context.Context, conn *nats.Conn, subject string, q request) (r reply, wire int, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := conn.RequestWithContext(ctx, subject, requestFormat.Encode(q))
	if err != nil {
		return r, 0, err
	}
	r, err = decodeReply(m.Data)
	return r, len(m.Data), err
}
