package embedded

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A nats-server that cannot write a file switches JetStream off, for good: a disk that is full on most servers
// takes all logs away until they are started again, and nobody is told why. So the server looks how much is left. Below Spare
// it refuses what is published to streams that it leads, which the publisher is told, and hands these streams to
// servers with more room. Where others have filled the disk nevertheless, it switches JetStream on again when there is room.

const (
	// Spare is the room in bytes below which logs take no entries. It is more than
	// what a checkpoint's store leaves alone, so that checkpoints that let logs be cut can still be made.
	Spare = 96 << 20
	// enough ends it, so that it does not begin again at once.
	enough = Spare + Spare/4

	spaceEvery    = 100 * time.Millisecond
	stepDownEvery = 5 * time.Second
	restartEvery  = 2 * time.Second
)

// FullError says that there is no room on the disk for entries of logs.
type FullError struct {
	Dir  string
	Free uint64 // bytes
	Off  bool   // JetStream is switched off: no log has a copy here until there is room
}

func (e *FullError) Error() string {
	text := fmt.Sprintf("disk of %s is full: %d MiB are free, at least %d MiB are needed for inputs to be taken", e.Dir, e.Free>>20, Spare>>20)
	if e.Off {
		text += "; JetStream is off until then"
	}
	return text
}

// Full returns a *FullError while there is no room for entries.
func (s *Server) Full() error {
	if e := s.space.full.Load(); e != nil {
		return e
	}
	return nil
}

// space is what the server knows of the room on its disk.
type space struct {
	free    func(dir string) int64 // bytes; below 0: nobody knows
	full    atomic.Pointer[FullError]
	once    sync.Once // closes ended
	ended   chan struct{}
	watched chan struct{}                                       // closed when the watch has ended
	tried   time.Time                                           // to switch JetStream on
	limits  map[string]map[string]server.JetStreamAccountLimits // of accounts, by tier, before they were cut
}

// watchSpace looks after the room on disk until the server ends.
func (s *Server) watchSpace() {
	defer close(s.space.watched)
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	var began, stepped time.Time // when JetStream was on first, when streams were handed over last
	for {
		select {
		case <-s.space.ended:
			return
		case now := <-tick.C:
			on := s.srv.JetStreamEnabled()
			if on && began.IsZero() {
				began = now
			}
			free := s.space.free(s.options.Dir)
			if began.IsZero() || free < 0 {
				continue // it starts, or nobody knows
			}
			if !s.judge(free, !on) {
				continue
			}
			s.refuse()
			if on && now.Sub(stepped) > stepDownEvery {
				s.stepAside()
				stepped = now
			}
		}
	}
}

// endWatch ends watchSpace, before JetStream is switched off on purpose.
func (s *Server) endWatch() {
	s.space.once.Do(func() { close(s.space.ended) })
	<-s.space.watched
}

// judge takes note of how much is free, and reports whether that is not enough.
func (s *Server) judge(free int64, off bool) bool {
	was := s.space.full.Load()
	if free < Spare || was != nil && free < enough {
		e := &FullError{s.options.Dir, uint64(free), off}
		if s.space.full.Store(e); was == nil {
			s.log.Errorf("%v", e)
		}
		return true
	}
	if off {
		if now := time.Now(); now.Sub(s.space.tried) > restartEvery {
			s.restart()
			s.space.tried = now
		}
	} else if was != nil {
		s.take()
		s.space.full.Store(nil)
		s.log.Warnf("disk of %s has room again: %d MiB are free", s.options.Dir, free>>20)
	}
	return false
}

// accounts are those with streams, with the streams.
func (s *Server) accounts() []*server.AccountDetail {
	all, err := s.srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return nil // JetStream is off
	}
	return all.AccountDetails
}

// refuse has this server refuse what is published to the streams that it leads: no account may store any more here. It is done
// again and again, since a JetStream that was switched on has its limits anew.
func (s *Server) refuse() {
	for _, detail := range s.accounts() {
		a, err := s.srv.LookupAccount(detail.Id)
		if err != nil {
			continue
		}
		was, none := accountLimits(a)
		if len(none) == 0 {
			continue
		}
		if s.space.limits[detail.Id] == nil {
			s.space.limits[detail.Id] = was
		}
		if err := a.UpdateJetStreamLimits(none); err != nil {
			s.log.Errorf("refuse entries of account %s: %v", detail.Name, err)
		}
	}
}

// accountLimits are an account's limits by tier, and the same with no room, which are nothing where there is none already.
func accountLimits(a *server.Account) (was, none map[string]server.JetStreamAccountLimits) {
	usage := a.JetStreamUsage()
	tiers := usage.Tiers
	if len(tiers) == 0 {
		tiers = map[string]server.JetStreamTier{"": usage.JetStreamTier}
	}
	was, none = make(map[string]server.JetStreamAccountLimits), make(map[string]server.JetStreamAccountLimits)
	for name, tier := range tiers {
		was[name] = tier.Limits
		if cut := tier.Limits; cut.MaxStore != 0 {
			cut.MaxStore = 0
			none[name] = cut
		}
	}
	return was, none
}

// take ends refuse.
func (s *Server) take() {
	for id, limits := range s.space.limits {
		a, err := s.srv.LookupAccount(id)
		if err == nil {
			err = a.UpdateJetStreamLimits(limits)
		}
		if err != nil {
			s.log.Errorf("take entries of account %s again: %v", id, err)
		}
	}
	clear(s.space.limits)
}

// restart switches JetStream on again.
func (s *Server) restart() {
	opts, err := s.options.server()
	if err == nil {
		s.log.Warnf("JetStream was switched off, and is switched on again")
		err = s.srv.ReloadOptions(opts)
	}
	if err != nil {
		s.log.Errorf("switch JetStream on again: %v", err)
	}
}

// stepAside hands the streams that this server leads to others, which may have room.
func (s *Server) stepAside() {
	for _, detail := range s.accounts() {
		for i := range detail.Streams {
			name := detail.Streams[i].Name
			if s.srv.JetStreamIsStreamLeader(detail.Id, name) {
				_ = s.srv.JetStreamStepdownStream(detail.Id, name) // there may be no other
			}
		}
	}
}
