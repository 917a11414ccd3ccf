package engine

import (
	"encoding/binary"
	"math"
)

// Layouts of poll_oneoff, in bytes.
const (
	subscriptionSize    = 48
	subscriptionTag     = 8
	subscriptionClock   = 16 // id of the clock, or the file descriptor
	subscriptionTimeout = 24
	subscriptionFlags   = 40
	eventSize           = 32
	eventErrno          = 8
	eventType           = 10
)

// Tags of subscriptions and events.
const (
	tagClock   = 0
	tagFDRead  = 1
	tagFDWrite = 2
)

// subscription is one thing that poll_oneoff waits for.
type subscription struct {
	userdata uint64
	tag      byte
	err      errno  // with which it is ready at once
	wait     uint64 // nanoseconds until it is ready, 0 if at once
}

// wasiPoll waits without waiting: if nothing is ready the clock moves to where
// the first subscription is. A program that sleeps has slept.
func (g *guest) wasiPoll(args []uint64) errno {
	in, out, count, nevents := args[0], args[1], args[2], args[3]
	if count == 0 || count > maxSubscriptions {
		return errnoInval
	}
	g.charge(count * priceVector)
	raw, ok := g.slice(in, count*subscriptionSize)
	if !ok {
		return errnoFault
	}
	now, wait := g.clock.read(g.call.Time), uint64(math.MaxUint64)
	subs := make([]subscription, 0, count) // a copy: out may overlap in
	for ; len(raw) > 0; raw = raw[subscriptionSize:] {
		s := readSubscription(raw, now)
		wait = min(wait, s.wait)
		subs = append(subs, s)
	}
	g.clock.advance(wait)
	ready := uint64(0)
	for _, s := range subs {
		if s.wait > wait {
			continue
		}
		event, ok := g.slice(out+ready*eventSize, eventSize)
		if !ok {
			return errnoFault
		}
		s.writeEvent(event)
		ready++
	}
	if !g.put32(nevents, uint32(ready)) {
		return errnoFault
	}
	return errnoSuccess
}

func readSubscription(raw []byte, now uint64) subscription {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(raw[at:]) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	s := subscription{userdata: u64(0), tag: raw[subscriptionTag]}
	switch id := u32(subscriptionClock); s.tag {
	case tagClock:
		if id >= clockIDs {
			s.err = errnoInval
			break
		}
		s.wait = u64(subscriptionTimeout)
		if absolute := raw[subscriptionFlags]&1 != 0; absolute {
			s.wait -= min(now, s.wait)
		}
	case tagFDRead:
		if id != stdin {
			s.err = errnoBadF
		}
	case tagFDWrite:
		if id != stdout && id != stderr {
			s.err = errnoBadF
		}
	default:
		s.err = errnoInval
	}
	return s
}

func (s subscription) writeEvent(event []byte) {
	clear(event)
	binary.LittleEndian.PutUint64(event, s.userdata)
	binary.LittleEndian.PutUint16(event[eventErrno:], uint16(s.err))
	event[eventType] = s.tag
}
