package transfer

import (
	"context"
	"time"
)

// race asks one after the other until one gives what is right, whose place it returns: the next one once one has failed, and also, beside it,
// where one takes longer than a reply may. So who gives little at a time, and cannot be told from one at the end of a slow line, holds
// up nobody for long. errs are of those that failed, each at its place.
func race[T any](ctx context.Context, n int, ask func(ctx context.Context, i int) (T, error)) (right T, ok bool, errs []error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		i     int
		value T
		err   error
	}
	answers := make(chan answer, n)
	errs = make([]error, n)
	asked, open := 0, 0
	next := func() {
		if asked == n || ctx.Err() != nil {
			return
		}
		go func(i int) {
			v, err := ask(ctx, i)
			answers <- answer{i, v, err}
		}(asked)
		asked++
		open++
	}
	late := time.NewTicker(requestTimeout)
	defer late.Stop()
	for next(); open > 0; {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.value, true, errs
			}
			errs[a.i] = a.err
			open--
		case <-late.C:
		}
		late.Reset(requestTimeout)
		next()
	}
	return right, false, errs
}
