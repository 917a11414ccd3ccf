package transfer

import (
	"context"

	"golang.org/x/time/rate"

	"lockstep/snapshot"
)

// Limit bounds the bytes that a donor sends in a second, over all fetchers that
// it serves. A nil Limit bounds nothing.
type Limit struct{ bucket *rate.Limiter }

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
	return &Limit{rate.NewLimiter(rate.Limit(bytesPerSecond), burst)}
}

// budget is the size of a reply, but for its last item.
func (l *Limit) budget() int {
	if l == nil {
		return replyBytes
	}
	return l.bucket.Burst()
}

// wait waits until so many bytes may be sent.
func (l *Limit) wait(ctx context.Context, bytes int) error {
	if l == nil {
		return nil
	}
	for bytes > 0 {
		n := min(bytes, l.bucket.Burst())
		if err := l.bucket.WaitN(ctx, n); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}
