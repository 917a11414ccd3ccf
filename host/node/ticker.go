package node

import (
	"context"
	"slices"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
)

// ticker has the log of a machine that nobody asks anything move when a timer
// is due: it appends a host.Tick. The voters take turns by their place in the
// membership, so that usually one of them does and the others see its entry in
// time.
type ticker struct {
	alarm  *time.Timer
	set    alarmCause
	ticked ordering.Time // the timer that this replica last ticked for
	seq    ordering.Seq  // of the machine then
	pause  time.Duration // until that tick is given up
}

// alarmCause is what an alarm was set for; while it is the same, the alarm stays.
type alarmCause struct {
	at     ordering.Time // of the timer that is due next
	ticked bool          // this replica ticked for it
	seq    ordering.Seq  // of the machine, once it did
}

const (
	tickGrace    = 10 * time.Millisecond  // in which a client's entry may come
	tickTurn     = 150 * time.Millisecond // between one voter's turn and the next one's
	tickPause    = 250 * time.Millisecond // until a tick that did not come back is repeated; it doubles
	maxTickPause = 4 * time.Second
)

func newTicker() ticker {
	alarm := time.NewTimer(time.Hour)
	alarm.Stop()
	return ticker{alarm: alarm}
}

// wind sets the alarm for the timer that is due next.
func (r *Replica) wind() {
	k := &r.ticker
	at, pending := r.machine.NextTimer()
	if !pending || r.phase != host.PhaseVoting {
		k.alarm.Stop()
		k.set = alarmCause{}
		return
	}
	cause := alarmCause{at: at, ticked: at == k.ticked}
	if cause.ticked {
		cause.seq = r.machine.Seq()
	}
	if cause == k.set {
		return
	}
	k.set = cause
	switch {
	case cause.ticked && cause.seq == k.seq:
		k.alarm.Reset(k.pause)
	case cause.ticked:
		// An entry came, and the timer is still pending: the log's clock is behind
		// ours by this much, or more timers are due than run with one entry.
		k.alarm.Reset(min(max(time.Duration(at-r.machine.Time()), 0), maxTickPause))
	default:
		turn := slices.IndexFunc(r.machine.Members().List, func(m audit.Member) bool { return m.ID == r.id })
		k.alarm.Reset(max(time.Until(time.Unix(0, int64(at))), 0) + tickGrace + time.Duration(max(turn, 0))*tickTurn)
	}
}

// tick appends a tick, unless the machine has not yet caught up with the log,
// where the entry that fires the timer may be waiting.
func (r *Replica) tick() {
	k := &r.ticker
	due, again := k.set.at, k.set.ticked
	k.set = alarmCause{}
	if due == 0 {
		return
	}
	k.pause = min(2*k.pause, maxTickPause)
	if !again || r.machine.Seq() != k.seq {
		k.pause = tickPause
	}
	k.ticked, k.seq = due, r.machine.Seq()
	if k.seq < r.quietTo {
		return
	}
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		ctx, cancel := context.WithTimeout(r.ctx, maxTickPause)
		defer cancel()
		if _, err := r.log.get().Append(ctx, host.Tick{At: due}.Encode()); err != nil && r.ctx.Err() == nil {
			r.logger.Debug("append tick", "err", err)
		}
	}()
}
