// Package host is the replicated state machine as a pure function: Machine.Apply
// takes one ordered entry and returns a Transition that says what to make
// durable and what to send. Two machines that apply the same entries hold the
// same state, byte for byte, and return the same transitions.
//
// Nothing here knows a clock, a network or a goroutine; package host/node
// carries transitions out.
package host

import (
	"bytes"
	"errors"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Load gives an instance of a module, not yet initialised, for a machine with
// this config. It answers ErrModuleRefused (wrapped) where the module itself
// is at fault, which every replica then answers alike; any other error is the
// world's, and Apply returns it with nothing changed.
type Load func(module audit.Digest, config Config) (Guest, error)

// ErrModuleRefused marks a module that no host can run. What wraps it is told
// to the client, so that it must not depend on the replica.
var ErrModuleRefused = errors.New("module refused")

// Machine is the state of one replica.
type Machine struct {
	system
	profile uint32
	load    Load
	imports func(root audit.Digest) (*Imported, error) // nil: none

	guest    Guest // nil before DEPLOY
	tree     *snapshot.Tree
	pending  []pendingCall    // of the entry that runs; kept for its room
	receipts Receipts         // likewise
	unhashed snapshot.PageSet // committed since the tree was last updated
	scrubbed uint32           // pages compared by Scrub so far
}

// New returns a machine before its first entry. profile is the version of the
// instrumentation that load applies.
func New(name string, profile uint32, load Load) *Machine {
	return &Machine{system: system{machine: name}, profile: profile, load: load, tree: snapshot.NewTree()}
}

// Seq is the last entry that was applied, 0 before the first.
func (m *Machine) Seq() ordering.Seq { return m.seq }

// Epoch is the epoch of the last entry.
func (m *Machine) Epoch() ordering.Epoch { return m.epoch }

// Time is ordered time at the last entry.
func (m *Machine) Time() ordering.Time { return m.time }

// Chain is the chain after the last entry.
func (m *Machine) Chain() ordering.Chain { return m.chain }

// Members is the membership after the last entry.
func (m *Machine) Members() audit.Members { return m.members }

// LastEvents is the last entry in which the guest emitted events, 0 if none.
func (m *Machine) LastEvents() ordering.Seq { return m.events }

// Recoveries are the epochs that began on an operator's word, the newest of them, oldest first. The
// caller must not change them.
func (m *Machine) Recoveries() []epochs.Recovery { return m.recoveries }

// Module is the digest of the guest that runs; ok is false before DEPLOY.
func (m *Machine) Module() (module audit.Digest, ok bool) { return m.module, m.deployed }

// Config is the machine's config; zero before DEPLOY.
func (m *Machine) Config() Config { return m.config }

// Memory is the guest's committed memory, a view that is valid until the next
// Apply or Patch. Nil before DEPLOY.
func (m *Machine) Memory() []byte {
	if m.guest == nil {
		return nil
	}
	return m.guest.Memory()
}

// Live is the guest's working memory, which equals the committed one between
// two entries, if the engine shows it. It is there to inject and to find faults.
func (m *Machine) Live() []byte {
	if g, ok := m.guest.(interface{ Live() []byte }); ok {
		return g.Live()
	}
	return nil
}

// Tracker tells how the pages that the guest wrote are found; "" before DEPLOY.
// All ways give the same state.
func (m *Machine) Tracker() string {
	if g, ok := m.guest.(interface{ Tracker() string }); ok {
		return g.Tracker()
	}
	return ""
}

// Apply runs the entry that follows the last one. An error is the world's (the
// module could not be had) or a broken log, ErrNoOpening among them, and leaves
// the machine as it was; whatever else the entry holds, it is not an error.
func (m *Machine) Apply(e ordering.Entry) (*Transition, error) {
	return m.ApplyParsed(Parse(m.machine, e))
}

// ApplyParsed is Apply of an entry that was parsed already, for this machine.
func (m *Machine) ApplyParsed(p *Parsed) (*Transition, error) {
	if err := m.follows(p.Entry); err != nil {
		return nil, err
	}
	var run func(t *Transition) *Reply
	switch {
	case p.Entry.Epoch > max(m.epoch, 1):
		o, members, err := m.open(p.Entry)
		if err != nil {
			return nil, err
		}
		run = func(t *Transition) *Reply { return m.enter(o, members, t) }
	case m.unsigned(p):
		run = func(*Transition) *Reply { return m.refuseUnsigned(p) }
	case p.batch != nil:
		run = func(t *Transition) *Reply { return m.batch(*p.batch, t) }
	case p.control != nil:
		// All that can fail for the world's sake happens before anything changes.
		arrived, err := m.arrive(*p.control, p.Entry.Seq)
		if err != nil {
			return nil, err
		}
		run = func(t *Transition) *Reply { return m.control(*p.control, arrived, t) }
	}
	m.advance(p.Entry)
	t := &Transition{Epoch: m.epoch, Seq: m.seq, Chain: m.chain}
	m.fire(t)
	if run != nil {
		// Whatever else was published to the log, a Tick among it, is an entry too,
		// one that asks nothing: it moves seq, chain and time, so that all replicas
		// agree on it.
		t.Reply = run(t)
	}
	t.EventsBefore = m.events
	if len(t.Events) > 0 {
		m.events = m.seq
	}
	m.maintain(t)
	return t, nil
}

// unsigned reports whether an entry is to be refused because the client that it
// names did not sign it. Before DEPLOY there is no mode to ask for it.
func (m *Machine) unsigned(p *Parsed) bool {
	asks := p.batch != nil || p.control != nil
	return asks && m.deployed && m.config.Mode == audit.Signed && !p.Signed()
}

// refuseUnsigned answers an entry that may be forged. It leaves the session of
// the client that it names alone.
func (m *Machine) refuseUnsigned(p *Parsed) *Reply {
	if p.control != nil {
		return m.reply(p.control.Session, Receipts{refused(p.control.Number, RefusedSignature, "")})
	}
	receipts := make(Receipts, 0, len(p.batch.Inputs))
	for _, in := range p.batch.Inputs {
		receipts = append(receipts, refused(in.Number, RefusedSignature, ""))
	}
	return m.reply(p.batch.Session, receipts)
}

// maintain adds what falls due after the entry: the last thing of all, so that
// a checkpoint holds the entry's own receipts too.
func (m *Machine) maintain(t *Transition) {
	if !m.deployed {
		return
	}
	due := func(every uint64) bool { return uint64(m.seq)%every == 0 }
	if t.checkpoint || due(m.config.CheckpointEvery) {
		t.Checkpoint = m.Checkpoint()
	}
	if t.Checkpoint != nil || due(m.config.AuditEvery) {
		t.Audited = &Audited{Members: m.members.Seq, Root: m.Root()}
	}
}

// reply seals the receipts of an entry.
func (m *Machine) reply(s Session, receipts Receipts) *Reply {
	r := &Reply{Client: s.Client, Receipts: receipts.Encode(), Members: m.members.Seq, Mode: m.members.Mode}
	for i := range receipts {
		r.Statuses[receipts[i].Status]++
		if receipts[i].Duplicate {
			r.Duplicates++
		} else {
			r.Gas += receipts[i].Gas
		}
	}
	if voters := uint64(m.members.Voters()); voters > 0 {
		n := s.Responder % voters
		for i := range m.members.List {
			if p := &m.members.List[i]; p.Voter {
				if n == 0 {
					r.Responder = p.ID
					break
				}
				n--
			}
		}
	}
	return r
}

// batch runs the inputs in order.
func (m *Machine) batch(b Batch, t *Transition) *Reply {
	receipts := m.receipts[:0]
	defer func() {
		clear(receipts) // of outputs
		m.receipts = receipts
	}()
	window, ok := m.sessions.open(b.Session, m.seq)
	if !ok {
		for _, in := range b.Inputs {
			receipts = append(receipts, refused(in.Number, RefusedSessionExpired, ""))
		}
		return m.reply(b.Session, receipts)
	}
	run := runner{m: m, t: t, caller: b.Session.Client}
	outputs := 0
	for i, in := range b.Inputs {
		if i > 0 && (outputs >= maxEntryOutputs || t.eventsFull()) {
			receipts = append(receipts, refused(in.Number, RefusedEntryFull, ""))
			continue
		}
		r, known := window.lookup(in.Number)
		if !known {
			r = run.input(uint32(i), in)
			if applied(r) {
				m.sessions.remember(window, r)
			}
		}
		receipts = append(receipts, r)
		outputs += len(r.Output)
	}
	run.finish()
	return m.reply(b.Session, receipts)
}

// What an entry puts out travels as one message of its receipts and one of its events, each
// under 1 MiB, which servers take by default. Once there is so much of either, no
// other input of it is run. The input before may be a wasmabi.MaxOutput or
// MaxEventBytes above that, and what is encoded around 1,024 receipts takes 34 KiB.
const (
	maxEntryOutputs = 448 << 10
	maxEntryEvents  = 640 << 10
)

// maxUnhashed is the number of pages that wait for their digests at most: two
// milliseconds' worth. Waiting saves work where entries write to the same pages
// again; but all that wait are hashed while the machine stands still for an audit
// or a checkpoint, and that pause is not to grow with what was written since the last.
const maxUnhashed = 1024

// commit folds the working state of the guest into the committed one.
func (m *Machine) commit() {
	m.unhashed.Add(m.guest.Commit()...)
	if m.unhashed.Len() > maxUnhashed {
		m.Tree().Root() // which hashes the nodes
	}
}

// Root is the digest of the whole state after the last entry.
func (m *Machine) Root() audit.Digest { return m.Manifest().Root() }

// Tree is the digest tree over the committed memory, up to date.
func (m *Machine) Tree() *snapshot.Tree {
	if m.guest != nil {
		memory := m.guest.Memory()
		m.tree.Resize(len(memory))
		pages := m.unhashed.List(uint32(len(memory) / snapshot.PageSize))
		hash(m.tree, m.guest, pages)
		m.unhashed.Cut(0)
	}
	return m.tree
}

// hash gives a tree the digests of pages of a guest.
func hash(tree *snapshot.Tree, g Guest, pages []uint32) {
	all, ok := g.(interface {
		Digests(pages []uint32) []audit.Digest
	})
	if !ok {
		tree.Update(g.Memory(), pages)
		return
	}
	for i, d := range all.Digests(pages) { // computed on all CPUs
		tree.Set(pages[i], d)
	}
}

// blank tells that a committed page of a guest has been zero since it was added, if the engine
// knows. To read it could take memory for it.
func blank(g Guest, page uint32) bool {
	b, ok := g.(interface{ Blank(page uint32) bool })
	return ok && b.Blank(page)
}

// Manifest names the state after the last entry.
func (m *Machine) Manifest() snapshot.Manifest {
	man := snapshot.Manifest{
		Machine: m.machine, Epoch: m.epoch, Seq: m.seq, Chain: m.chain,
		Pages: m.Tree().Root(), System: m.system.encode(),
	}
	if m.guest != nil {
		man.Size = uint64(len(m.guest.Memory()))
		man.Globals = m.guest.Globals()
	}
	return man
}

// Checkpoint names the state after the last entry and freezes the memory of it,
// which whoever keeps it reads while the machine goes on. The pages are not
// copied here, so that the pause does not grow with them. The machine must be
// deployed.
func (m *Machine) Checkpoint() *snapshot.Checkpoint {
	return &snapshot.Checkpoint{Manifest: m.Manifest(), Tree: m.tree.View(), Memory: m.freeze()}
}

func (m *Machine) freeze() snapshot.Frozen {
	if g, ok := m.guest.(interface{ Freeze() snapshot.Frozen }); ok {
		return g.Freeze()
	}
	return snapshot.Copied(bytes.Clone(m.guest.Memory()))
}

// Close frees the guest. The machine must not be used afterwards.
func (m *Machine) Close() { m.dropGuest() }
