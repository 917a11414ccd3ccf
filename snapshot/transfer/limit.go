package transfer

import (
	"context"
	"sync/atomic"

	"golang.org/x/time/rate"

	"lockstep/snapshot"
)

// Limit bounds the bytes that a donor sends in a second, over all fetchers that
// it serves. A nil Limit bounds nothing.
type Limit struct {
	bucket  *rate.Limiter
	waiting atomic.Int64 // replies
}

// MinLimit is the lowest rate, in bytes per second, at which a page arrives
// before its fetcher gives the donor up.
const MinLimit = 64 << 10

// NewLimit returns a limit in bytes per second, nil for 0. It is at least
// MinLimit.
func NewLimit(bytesPerSecond int) *Limit {
	if bytesPerSecond == 0 {
		return nil
	}
	bytesPerSecond = max(bytesPerSecond, MinLimit)
	// A reply takes an eighth of a second, so that those that wait for the
	// replies before theirs get it in time.
	burst := min(max(bytesPerSecond/8, snapshot.PageSize), replyBytes)
	return &Limit{bucket: rate.NewLimiter(rate.Limit(bytesPerSecond), burst)}
}

// budget is the size of a reply, but for its last item: smaller where others wait, so that all of
// them together take no longer than one by itself. Fetchers of many machines would give the donor up otherwise.
func (l *Limit) budget() int {
	if l == nil {
		return replyBytes
	}
	return max(l.bucket.Burst()/int(1+l.waiting.Load()), snapshot.PageSize)
}

// wait waits until so many bytes may be sent.
func (l *Limit) wait(ctx context.Context, bytes int) error {
	if l == nil {
		return nil
	}
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	for bytes > 0 {
		n := min(bytes, l.bucket.Burst())
		if err := l.bucket.WaitN(ctx, n); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}
