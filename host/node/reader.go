package node

import (
	"context"
	"errors"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// reader reads the log ahead of the loop, so that fetching and applying
// overlap. It ends with the first error that does not pass.
type reader struct {
	entries chan readBatch
	stop    context.CancelFunc
	ended   chan struct{}
}

// end stops the reader and waits for it, so that it appends nothing any more.
func (r *reader) end() {
	if r != nil {
		r.stop()
		<-r.ended
	}
}

// batches is what the reader brings; nothing ever, where there is none.
func (r *reader) batches() <-chan readBatch {
	if r == nil {
		return nil
	}
	return r.entries
}

type readBatch struct {
	entries []*host.Parsed
	err     error
}

// parse decodes entries, and checks their signatures where the machine asks for
// them, so that the loop finds it done.
func (r *Replica) parse(entries []ordering.Entry) []*host.Parsed {
	signed := r.Info().Members.Mode == audit.Signed
	list := make([]*host.Parsed, 0, len(entries))
	for _, e := range entries {
		p := host.Parse(string(r.name), e)
		if signed {
			p.Signed()
		}
		list = append(list, p)
	}
	return list
}

// readPause is how long a read that failed for a passing reason waits.
const readPause = 50 * time.Millisecond

// read starts a reader after the machine's last entry.
func (r *Replica) read() {
	r.reader.end()
	ctx, stop := context.WithCancel(r.ctx)
	r.reader = &reader{entries: make(chan readBatch, 1), stop: stop, ended: make(chan struct{})}
	r.done.Add(1)
	go func(reader *reader, from ordering.Seq) {
		defer r.done.Done()
		defer close(reader.ended)
		// What the journal has takes a while to apply, in which the log may be cut behind a checkpoint of others.
		caughtUp := func() {}
		if from <= r.journal.Last().Seq {
			caughtUp = r.observe(ctx)
		}
		defer caughtUp()
		for {
			if from > r.journal.Last().Seq {
				caughtUp()
			}
			entries, err := r.next(ctx, from)
			if ctx.Err() != nil {
				return
			}
			if err != nil && !final(err) {
				r.logger.Debug("read log", "err", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(readPause):
				}
				continue
			}
			r.meter.Read(len(entries))
			select {
			case <-ctx.Done():
				return
			case reader.entries <- readBatch{r.parse(entries), err}:
			}
			if err != nil {
				return
			}
			from = entries[len(entries)-1].Seq + 1
		}
	}(r.reader, r.machine.Seq()+1)
}

// final reports whether reading again cannot help.
func final(err error) bool {
	return breaks(err) || errors.Is(err, ordering.ErrTruncated) || errors.Is(err, ordering.ErrClosed)
}
