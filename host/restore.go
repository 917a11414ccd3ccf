package host

import (
	"bytes"
	"fmt"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// Adopt makes the machine be at another state, that of a manifest which a
// majority has stated or which this replica has stored. The guest's memory and
// globals follow by Patch; Tree says where they differ from the manifest's.
// Between Adopt and an equal Root the machine must not apply or vote. fresh tells
// that the guest was made anew for it, so that all of its memory is as the module and Patch
// left it.
func (m *Machine) Adopt(man snapshot.Manifest) (fresh bool, err error) {
	if man.Machine != m.machine {
		return false, fmt.Errorf("manifest is of machine %q, this is %q", man.Machine, m.machine)
	}
	next := system{machine: man.Machine, epoch: man.Epoch, seq: man.Seq, chain: man.Chain}
	if err := next.decode(man.System); err != nil {
		return false, fmt.Errorf("read system state: %w", err)
	}
	if next.deployed && (m.guest == nil || next.module != m.module) {
		guest, err := m.load(next.module, next.config)
		if err != nil {
			return false, fmt.Errorf("load module: %w", err)
		}
		if m.guest != nil {
			closeGuest(m.guest)
		}
		m.guest = guest
		guest.Undo()
		m.forgetTree()
		fresh = true
	}
	m.system = next
	if !next.deployed {
		m.dropGuest()
		return false, nil
	}
	return fresh, m.Patch(snapshot.Delta{Size: man.Size, Globals: man.Globals})
}

func (m *Machine) dropGuest() {
	if m.guest != nil {
		closeGuest(m.guest)
		m.guest, m.tree = nil, snapshot.NewTree()
		m.unhashed.Cut(0)
	}
}

// Patch changes the committed memory of the guest.
func (m *Machine) Patch(d snapshot.Delta) error {
	if m.guest == nil {
		return fmt.Errorf("patch a machine that has no guest")
	}
	before := len(m.guest.Memory())
	if err := m.guest.Patch(d); err != nil {
		return fmt.Errorf("patch guest: %w", err)
	}
	size := len(m.guest.Memory())
	m.tree.Resize(size)
	for _, i := range span(before, size) {
		m.know(i, snapshot.ZeroPage)
	}
	for _, p := range d.Pages {
		m.know(p.Index, p.Digest)
	}
	return nil
}

// know takes the digest of a page that was changed. Where it is zero, it is to be
// computed.
func (m *Machine) know(page uint32, d audit.Digest) {
	if d == (audit.Digest{}) {
		m.unhashed.Add(page)
		return
	}
	m.unhashed.Remove(page)
	m.tree.Set(page, d)
}

// Rehash makes the next root be computed from all of the memory, and not only
// from the pages that are known to have changed. Where the working memory is
// not what was committed, though nobody wrote it, it is made so.
func (m *Machine) Rehash() error {
	if m.guest == nil {
		return nil
	}
	memory, live := m.guest.Memory(), m.Live()
	m.unhashed.Add(span(0, len(memory))...)
	var rotten []snapshot.Page
	for i := range len(live) / snapshot.PageSize {
		if blank(m.guest, uint32(i)) {
			continue
		}
		at := i * snapshot.PageSize
		if committed := memory[at : at+snapshot.PageSize]; !bytes.Equal(live[at:at+snapshot.PageSize], committed) {
			rotten = append(rotten, snapshot.Page{Index: uint32(i), Data: committed})
		}
	}
	if len(rotten) == 0 {
		return nil
	}
	return m.Patch(snapshot.Delta{Size: uint64(len(memory)), Pages: rotten})
}

// scrubPages bounds the pages of one Scrub: half a millisecond's worth.
const scrubPages = 256

// Scrub compares a share of the working memory, another one each time, with
// the digests of what was committed, and returns the pages that differ: bytes
// that changed without having been written. It is to be called right after
// Root, between two entries.
func (m *Machine) Scrub() []uint32 {
	live := m.Live()
	if len(live) == 0 {
		return nil
	}
	pages := uint32(len(live) / snapshot.PageSize)
	n := min(pages/64+1, scrubPages)
	rotten := m.Tree().Scrub(live, m.scrubbed%pages, n, func(i uint32) bool { return blank(m.guest, i) })
	m.scrubbed += n
	return rotten
}

// forgetTree makes every page count as changed.
func (m *Machine) forgetTree() {
	m.tree = snapshot.NewTree()
	m.unhashed.Cut(0)
	m.unhashed.Add(span(0, len(m.guest.Memory()))...)
}

// span lists the pages from byte offset a to b.
func span(a, b int) []uint32 {
	var pages []uint32
	for i := a / snapshot.PageSize; i < b/snapshot.PageSize; i++ {
		pages = append(pages, uint32(i))
	}
	return pages
}

// Position is that of the last entry applied.
func (m *Machine) Position() ordering.Position {
	return ordering.Position{Epoch: m.epoch, Seq: m.seq, Chain: m.chain}
}

// Audited is what this replica states about its state after the last entry.
func (m *Machine) Audited() Audited { return Audited{Members: m.members.Seq, Root: m.Root()} }
