package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/snapshot/transfer"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// subscribe answers what others ask of this replica. Nothing here waits for
// the loop.
func (r *Replica) subscribe() error {
	machine := string(r.name)
	err := errors.Join(
		r.listen(host.AuditSubject(machine), func(m *nats.Msg) { r.receiveRecord(m.Data) }),
		r.listen(protocol.EvidenceSubject(machine), r.receiveEvidence),
		r.listen(epochs.StandSubject(machine), r.receiveStand),
		r.listen(epochs.EntrySubject(machine, r.id), r.serveEntries),
		r.listen(host.InfoSubject(machine), r.answerInfo),
		r.listen(protocol.QuerySubject(machine), func(m *nats.Msg) { r.receiveQuestion(m, false) }),
		r.listen(protocol.QuerySubjectOf(machine, r.id), func(m *nats.Msg) { r.receiveQuestion(m, true) }),
		r.listen(host.PrepareSubject(machine), r.prepare),
	)
	if err != nil {
		return err
	}
	sub, err := transfer.Serve(r.ctx, r.node.opts.Conn, host.StateSubject(machine, r.id), source{r}, r.node.limit, r.meter.Given)
	if err != nil {
		return err
	}
	r.subs = append(r.subs, sub)
	return nil
}

// listen subscribes to a subject. What is to be answered anywhere but in an inbox is dropped: a node
// may publish more than who asks it.
func (r *Replica) listen(subject string, take func(*nats.Msg)) error {
	sub, err := r.node.opts.Conn.Subscribe(subject, func(m *nats.Msg) {
		if m.Reply != "" && !protocol.IsInbox(m.Reply) {
			r.logger.Debug("drop question whose answer is to go to no inbox", "subject", m.Subject, "reply", m.Reply)
			return
		}
		take(m)
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	r.subs = append(r.subs, sub)
	return nil
}

func (r *Replica) answerInfo(m *nats.Msg) {
	info := r.Info()
	info.Sign(r.key)
	_ = m.Respond(host.InfoFormat.Encode(info)) // whoever misses it asks again
}

// prepare fetches and compiles a module and says so. One at a time: the
// subscription's goroutine does the work.
func (r *Replica) prepare(m *nats.Msg) {
	var q host.Prepare
	if err := host.PrepareFormat.Decode(m.Data, &q); err != nil {
		return
	}
	what, hold := q.Module, r.hold
	if q.Checkpoint != (audit.Digest{}) {
		what, hold = q.Checkpoint, r.holdImport
	}
	a := host.Prepared{Holding: audit.Holding{Machine: string(r.name), Replica: r.id, Module: what}}
	if err := hold(q); err != nil {
		a.Refused, a.NoRoom, a.Error = errors.Is(err, host.ErrModuleRefused), noMemory(err), err.Error()
	} else {
		a.Holding.Sign(r.key)
	}
	a.Sign(r.key)
	_ = m.Respond(host.PreparedFormat.Encode(a))
}

func (r *Replica) hold(q host.Prepare) error {
	config := q.Config.Resolve(instrument.Profile)
	if err := config.Validate(instrument.Profile); err != nil {
		return err
	}
	if err := r.claim(config.MaxMemory); err != nil {
		return err
	}
	err := r.node.modules.compile(q.Module, config)
	var missing *MissingModuleError
	if !errors.As(err, &missing) {
		return err
	}
	if err := r.fetchModuleFrom(q.Module, []string{q.From}); err != nil {
		return err
	}
	return r.node.modules.compile(q.Module, config)
}

// fetchModule gets a module from other replicas.
func (r *Replica) fetchModule(module audit.Digest, from []audit.ReplicaID) error {
	subjects := make([]string, len(from))
	for i, id := range from {
		subjects[i] = host.StateSubject(string(r.name), id)
	}
	return r.fetchModuleFrom(module, subjects)
}

// maxHolders bounds those that are asked where no membership is known: it is more than any has.
const maxHolders = 32

// holders are those that may hold a module that the log names: the other members, or before there are any, whoever
// answers, the first few.
func (r *Replica) holders() ([]audit.ReplicaID, error) {
	if ids := r.peers(); len(ids) > 0 {
		return ids, nil
	}
	infos, err := r.infos()
	var ids []audit.ReplicaID
	for i := range infos {
		if infos[i].Replica != r.id && len(ids) < maxHolders {
			ids = append(ids, infos[i].Replica)
		}
	}
	return ids, err
}

func (r *Replica) fetchModuleFrom(module audit.Digest, subjects []string) error {
	wasm, err := transfer.Blob(r.ctx, r.node.opts.Conn, subjects, module, wasmabi.MaxModule)
	if err != nil {
		return err
	}
	return r.node.modules.put(wasm, r.node.runs)
}

// How long answers are gathered, and how long more once there are enough.
const (
	infoPatience = 150 * time.Millisecond
	infoGrace    = 20 * time.Millisecond
)

// infos asks all replicas of the machine where they stand.
func (r *Replica) infos() ([]host.Info, error) {
	return r.gather(infoPatience, func([]host.Info) bool { return false })
}

// gather is infos, and does not wait long for more answers than are enough.
func (r *Replica) gather(patience time.Duration, enough func([]host.Info) bool) ([]host.Info, error) {
	infos := protocol.Infos{Machine: string(r.name)}
	err := r.collect(r.ctx, host.InfoSubject(string(r.name)), nil, patience, infoGrace, func() bool { return enough(infos.List) }, func(data []byte) {
		var in host.Info
		if host.InfoFormat.Decode(data, &in) == nil {
			infos.Add(in)
		}
	})
	return infos.List, err
}

// collect asks all replicas of the machine and hands their answers to take, for so long, and for no
// longer than grace once there are enough.
func (r *Replica) collect(ctx context.Context, subject string, question []byte, patience, grace time.Duration, enough func() bool, take func([]byte)) error {
	conn := r.node.opts.Conn
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := conn.PublishRequest(subject, inbox, question); err != nil {
		return fmt.Errorf("ask on %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for graced := false; ; {
		if !graced && enough() {
			graced = true
			ctx, cancel = context.WithTimeout(ctx, grace)
			defer cancel()
		}
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return r.ctx.Err()
		}
		take(m.Data)
	}
}

// source is what this replica gives to others.
type source struct{ r *Replica }

func (s source) Manifest(epoch ordering.Epoch, seq ordering.Seq) ([]byte, error) {
	man, err := s.r.node.store.Manifest(string(s.r.name), epoch, seq)
	if err != nil {
		return nil, err
	}
	return man.Encode(), nil
}

func (s source) Hold(epoch ordering.Epoch, seq ordering.Seq, holder uint64, d time.Duration) error {
	return s.r.node.store.Hold(string(s.r.name), epoch, seq, holder, d)
}

func (s source) Parts(refs []snapshot.Ref, give func([]byte) bool) error {
	return s.r.node.store.Parts(string(s.r.name), refs, give)
}

func (s source) Blob(d audit.Digest) ([]byte, error) { return s.r.node.modules.get(d) }
