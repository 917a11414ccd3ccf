package embedded

import (
	"fmt"
	"sync"
	"time"
	_ "unsafe" // for go:linkname
)

// The raft timers of nats-server are variables without an option.
//
//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
var lostQuorumInterval time.Duration

//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
var lostQuorumCheck time.Duration

// Timers in use. An election starts at a random time between the two after the last
// heartbeat, so the shorter must bear a follower's slowest fsync and a few lost
// heartbeats, and the longer bounds the time without a leader.
const (
	electionMin = 800 * time.Millisecond
	electionMax = 2000 * time.Millisecond
	heartbeat   = 200 * time.Millisecond
	lostQuorum  = 2500 * time.Millisecond
)

// ConfirmBreak is jetstream.Options.ConfirmBreak for clusters of these servers:
// a leader that was cut off has given up well before.
const ConfirmBreak = 2 * lostQuorum

type raftTimer struct {
	name         string
	at           *time.Duration
	stock, value time.Duration
}

var raftTimers = []raftTimer{
	{"minElectionTimeout", &minElectionTimeout, 4 * time.Second, electionMin},
	{"maxElectionTimeout", &maxElectionTimeout, 9 * time.Second, electionMax},
	{"hbInterval", &hbInterval, time.Second, heartbeat},
	{"lostQuorumInterval", &lostQuorumInterval, 10 * time.Second, lostQuorum},
	{"lostQuorumCheck", &lostQuorumCheck, 10 * time.Second, lostQuorum},
}

// setTimers sets the timers before the first server of this process reads them.
var setTimers = sync.OnceValue(func() error { return set(raftTimers) })

// set sets all timers or none.
//
// A name that nats-server no longer has would still link, to a variable that nobody
// reads and that is 0. So the value found must be nats-server's own.
func set(timers []raftTimer) error {
	for _, t := range timers {
		if *t.at != t.stock {
			return fmt.Errorf("raft timer %s of nats-server is %v, want %v: this version was not checked", t.name, *t.at, t.stock)
		}
	}
	for _, t := range timers {
		*t.at = t.value
	}
	return nil
}
