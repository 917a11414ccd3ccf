package jetstream

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnOptions are what a node's or client's connection should be made with: a dead
// server is noticed within three seconds, the way back is tried for ever, and
// what cannot be sent now is an error now and not sent at some later time. What
// goes wrong in the background is told to the logger, if there is one.
func ConnOptions(name string, logger *slog.Logger) []nats.Option {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return []nats.Option{
		nats.Name(name),
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			asyncError(logger, nc, sub, err)
		}),
	}
}

// asyncError logs what went wrong in the background, save headers that cannot be parsed:
// any client may send these, as often as it likes.
func asyncError(logger *slog.Logger, nc *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrBadHeaderMsg) {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	logger.Warn("NATS connection", "name", nc.Opts.Name, "subject", subject, "error", err)
}
