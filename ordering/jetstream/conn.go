package jetstream

import (
	"time"

	"github.com/nats-io/nats.go"
)

// ConnOptions are what a node's or client's connection should be made with: a dead
// server is noticed within three seconds, the way back is tried for ever, and
// what cannot be sent now is an error now and not sent at some later time.
func ConnOptions(name string) []nats.Option {
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
	}
}
