package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// budget bounds the memory that the guests of all machines of a node can come to
// take. What counts is the limit that a machine's log has ordered for its guest,
// when a replica of it is to come here: never what a guest asks for as it runs,
// which all replicas must answer alike.
type budget struct {
	bound uint64 // bytes; 0: none

	mu    sync.Mutex
	taken map[ordering.Name]claim
}

// claim is what one machine may take. One that is not used is given up in time.
type claim struct {
	bytes uint64
	until time.Time // zero: as long as the replica is here
}

// claimFor is how long room is kept for a guest that was prepared, until it is
// deployed.
const claimFor = time.Minute

// Resident is the memory in bytes that a replica keeps for a guest that has come to
// its limit of so many Wasm pages: each page as the guest has it and as it was
// committed, and a tenth more for their digests. What is overwritten while a
// checkpoint is written is kept besides until it has been read, and is not counted.
func Resident(pages uint32) uint64 { return uint64(pages) * 144_180 } // 2.2 times 64 KiB

// MemoryError says that a machine's guest could come to take more memory than the
// node has for it.
type MemoryError struct {
	Node    audit.ReplicaID
	Machine ordering.Name
	Limit   uint32 // of the guest, in Wasm pages
	Taken   uint64 // by the others, in bytes
	Others  []ordering.Name
	Bound   uint64 // in bytes
}

func (e *MemoryError) Error() string {
	others := "no other machine"
	if len(e.Others) > 0 {
		names := make([]string, len(e.Others))
		for i, n := range e.Others {
			names[i] = string(n)
		}
		others = strings.Join(names, ", ")
	}
	return fmt.Sprintf("node %s has no memory for machine %s: with its limit of %d MiB it may come to take %d MiB, %s may take %d MiB, and max_memory is %d MiB; deploy with a smaller --memory, on another node, or raise max_memory",
		e.Node, e.Machine, e.Limit/16, Resident(e.Limit)>>20, others, e.Taken>>20, e.Bound>>20)
}

// take claims room for a machine, for good or, with a lease, for a while. An
// earlier claim of the machine's is replaced.
func (b *budget) take(node audit.ReplicaID, machine ordering.Name, limit uint32, lease time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &MemoryError{Node: node, Machine: machine, Limit: limit, Bound: b.bound}
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(b.taken)) {
		c := b.taken[name]
		if name == machine || !c.until.IsZero() && c.until.Before(now) {
			continue
		}
		e.Taken += c.bytes
		e.Others = append(e.Others, name)
	}
	if b.bound > 0 && e.Taken+Resident(limit) > b.bound {
		return e
	}
	c := claim{bytes: Resident(limit)}
	if lease > 0 {
		c.until = now.Add(lease)
	}
	if b.taken == nil {
		b.taken = make(map[ordering.Name]claim)
	}
	b.taken[machine] = c
	return nil
}

// release gives up what a machine has claimed.
func (b *budget) release(machine ordering.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.taken, machine)
}

// Memory is what the guests of all machines of the node may come to take, and the
// bound on that, 0 for none; both in bytes.
func (n *Node) Memory() (taken, bound uint64) {
	n.budget.mu.Lock()
	defer n.budget.mu.Unlock()
	for _, c := range n.budget.taken {
		if c.until.IsZero() || c.until.After(time.Now()) {
			taken += c.bytes
		}
	}
	return taken, n.budget.bound
}

// load is host.Load: it gives the guest that the machine is to have from now on.
func (r *Replica) load(module audit.Digest, config host.Config) (host.Guest, error) {
	if err := r.node.budget.take(r.id, r.name, config.MaxMemory, 0); err != nil {
		return nil, err
	}
	return r.node.modules.load(module, config)
}

// claim keeps room for a guest that is to be deployed. A machine that is deployed
// has its room, which an upgrade does not change.
func (r *Replica) claim(limit uint32) error {
	if r.Info().Deployed {
		return nil
	}
	return r.node.budget.take(r.id, r.name, limit, claimFor)
}

// admit claims room for a machine that is to come here and runs elsewhere, by what
// a majority of its voters states as its limit. Where none does, it shows when the
// state arrives.
func (r *Replica) admit() error {
	if r.node.budget.bound == 0 {
		return nil
	}
	infos, err := r.infos()
	if err != nil {
		return err
	}
	panel, _, ok := host.Learn(infos, audit.Members{})
	if !ok {
		return nil
	}
	var limits audit.Tally[uint32]
	for _, in := range protocol.OfVoters(infos, panel) {
		_ = limits.Add(in.Replica, in.MaxMemory) // of two that conflict the first counts
	}
	if limit, ok := limits.Decided(panel.Majority()); ok {
		return r.node.budget.take(r.id, r.name, limit, claimFor)
	}
	return nil
}

func noMemory(err error) bool {
	var e *MemoryError
	return errors.As(err, &e)
}
