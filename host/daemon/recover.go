package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/admin"
	"lockstep/host/epochs"
	"lockstep/host/node"
)

// recoverTimeout bounds an order to recover a machine.
const recoverTimeout = 45 * time.Second

// serveRecovery answers operators whose machines do not go on by themselves.
func (d *Desk) serveRecovery() error {
	_, err := d.Conn.Subscribe(admin.StandsSubject, func(m *nats.Msg) { d.answerStands(m) })
	if err == nil {
		_, err = d.Conn.Subscribe(admin.RecoverSubject(d.Node.Name()), func(m *nats.Msg) { d.answerRecover(m) })
	}
	return err
}

func (d *Desk) answerStands(m *nats.Msg) {
	var q admin.StandsRequest
	if err := admin.StandsFormat.Decode(m.Data, &q); err != nil || len(q.Points) > audit.MaxPoints {
		d.Logger.Debug("drop request", "subject", m.Subject, "err", err)
		return
	}
	r := d.Node.Replica(q.Machine)
	if r == nil {
		return
	}
	s := r.Standing(q.Points)
	a := admin.Stands{Node: d.Node.Name(), Stand: s.Stand, Hindrance: s.Hindrance}
	for _, h := range s.Heard {
		a.Heard = append(a.Heard, admin.Heard{Stand: h.Stand, Ago: int64(time.Since(h.At))})
	}
	_ = m.Respond(admin.StandsResponseFormat.Encode(a)) // whoever misses it asks again
}

func (d *Desk) answerRecover(m *nats.Msg) {
	answer := admin.RecoverResponse{Node: d.Node.Name()}
	var q admin.RecoverRequest
	err := admin.RecoverFormat.Decode(m.Data, &q)
	if err == nil {
		var rec epochs.Recovery
		rec, err = d.recover(q)
		if answer.Proposed = errors.Is(err, epochs.ErrNoWord) && len(q.Word) == 0; answer.Proposed {
			err = nil
		}
		if err == nil {
			answer.Recovery = []epochs.Recovery{rec}
		}
	}
	if err != nil {
		answer.Error, answer.NotNeeded, answer.Moved = err.Error(), errors.Is(err, node.ErrNotNeeded), errors.Is(err, node.ErrMoved)
	}
	_ = m.Respond(admin.RecoverResponseFormat.Encode(answer))
}

func (d *Desk) recover(q admin.RecoverRequest) (epochs.Recovery, error) {
	r := d.Node.Replica(q.Machine)
	if r == nil {
		return epochs.Recovery{}, fmt.Errorf("machine %s is not hosted here", q.Machine)
	}
	if len(q.Reason) > audit.MaxReason || len(q.Word) > 1 {
		return epochs.Recovery{}, fmt.Errorf("reason has %d bytes, want at most %d; %d recoveries are signed, want at most 1", len(q.Reason), audit.MaxReason, len(q.Word))
	}
	order := node.Order{Base: q.Base, Voters: q.Voters, Reason: q.Reason}
	if len(q.Word) > 0 {
		order.Word = &q.Word[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	return r.Recover(ctx, order)
}
