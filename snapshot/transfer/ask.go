package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Donor is a replica that can be asked.
type Donor struct {
	Name    string
	Subject string
}

// Manifest fetches the manifest of the checkpoint at a seq from the first donor
// that gives the one with the root. All of them begin to keep that checkpoint.
func Manifest(ctx context.Context, conn *nats.Conn, donors []Donor, epoch ordering.Epoch, seq ordering.Seq, root audit.Digest) (snapshot.Manifest, error) {
	tell(conn, donors, request{Kind: kindHold, Epoch: epoch, Seq: seq})
	man, ok, errs := race(ctx, len(donors), func(ctx context.Context, i int) (man snapshot.Manifest, err error) {
		data, err := whole(ctx, conn, donors[i].Subject, request{Kind: kindManifest, Epoch: epoch, Seq: seq}, maxBlob)
		if err == nil {
			man, err = snapshot.DecodeManifest(data)
		}
		if err == nil && man.Root() != root {
			err = snapshot.ErrWrongBytes
		}
		return man, named(donors[i].Name, err)
	})
	if !ok {
		return man, fmt.Errorf("fetch manifest at seq %d: %w", seq, errors.Join(append(errs, ErrNoDonor, ctx.Err())...))
	}
	return man, nil
}

func named(donor string, err error) error {
	if err != nil {
		err = fmt.Errorf("from %s: %w", donor, err)
	}
	return err
}

// tell sends donors a request whose reply is of no use.
func tell(conn *nats.Conn, donors []Donor, q request) {
	data := q.encode()
	for _, d := range donors {
		_ = conn.PublishRequest(d.Subject, conn.NewRespInbox(), data) // who does not hear it errs on the safe side
	}
}

// Blob fetches a blob of at most limit bytes from the first of the subjects
// that gives the right one. Every error names the subject it is about. Those that did not reply in time
// are asked once more, after the others: on a busy machine they may be late.
func Blob(ctx context.Context, conn *nats.Conn, subjects []string, digest audit.Digest, limit int) ([]byte, error) {
	all := []error{ErrNoDonor, ctx.Err()}
	asked := subjects
	for range 2 {
		blob, ok, errs := race(ctx, len(asked), func(ctx context.Context, i int) ([]byte, error) {
			blob, err := whole(ctx, conn, asked[i], request{Kind: kindBlob, Blob: digest}, min(limit, maxBlob))
			if err == nil && audit.Digest(blake3.Sum256(blob)) != digest {
				err = snapshot.ErrWrongBytes
			}
			return blob, named(asked[i], err)
		})
		if ok {
			return blob, nil
		}
		var late []string
		for i, err := range errs {
			if errors.Is(err, errStalled) {
				late = append(late, asked[i])
			}
		}
		asked, all = late, append(all, errs...)
	}
	return nil, fmt.Errorf("fetch blob %v: %w", digest, errors.Join(all...))
}

// slowest is the rate, in bytes per second, below which a donor of something long
// is given up: one that gives a byte at a time would never end.
const slowest = 16 << 10

var errSlow = errors.New("donor is too slow")

// whole asks for something long, one part after the other.
func whole(ctx context.Context, conn *nats.Conn, subject string, q request, limit int) ([]byte, error) {
	var all []byte
	var size uint64
	for {
		q.Offset = uint64(len(all))
		r, _, err := ask(ctx, conn, subject, q)
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			return nil, cause
		}
		if err != nil {
			return nil, err
		}
		if r.Size > uint64(limit) {
			return nil, fmt.Errorf("it has %d bytes, at most %d are taken", r.Size, limit)
		}
		if len(all) == 0 {
			size = r.Size
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, 4*requestTimeout+time.Duration(size/slowest)*time.Second, errSlow)
			defer cancel()
		} else if r.Size != size {
			return nil, fmt.Errorf("it had %d bytes, and has %d now", size, r.Size)
		}
		if len(r.Items) != 1 {
			return nil, fmt.Errorf("reply has %d items, want 1", len(r.Items))
		}
		part, err := unpack(r.Items[0], nil, blobBytes)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if uint64(len(all)) == r.Size {
			return all, nil
		}
		if uint64(len(all)) > r.Size || len(part) < snapshot.PageSize { // no limit makes a donor give less
			return nil, errors.New("reply does not go on where the one before ended")
		}
	}
}

// cost is the payload of a request and its reply, in bytes.
type cost struct{ sent, received int }

// ask sends one request and reads its reply.
func ask(ctx context.Context, conn *nats.Conn, subject string, q request) (r reply, c cost, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errStalled)
	defer cancel()
	data := q.encode()
	c.sent = len(data)
	m, err := conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		return r, c, err
	}
	c.received = len(m.Data)
	if r, err = decodeReply(m.Data); err == nil && r.Error != "" {
		err = fmt.Errorf("donor says: %q", r.Error)
	}
	return r, c, err
}

var errStalled = fmt.Errorf("no reply in %v", requestTimeout)

// awaitConn waits while the connection to the server is away: that is not the
// donors' fault.
func awaitConn(ctx context.Context, conn *nats.Conn) error {
	for !conn.IsConnected() {
		if conn.IsClosed() {
			return nats.ErrConnectionClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
