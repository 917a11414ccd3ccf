package node

import (
	"crypto/ed25519"
	"time"

	"lockstep/host"
)

// Info is where the replica stands; what it says is signed when it is sent.
func (r *Replica) Info() host.Info { return *r.status.Load() }

// publishStatus makes the loop's view readable for others.
func (r *Replica) publishStatus() {
	r.published = time.Now()
	r.note()
	at := r.machine.Position()
	module, deployed := r.machine.Module()
	r.memory.Store(&Memory{r.machine.Tracker(), uint64(len(r.machine.Memory()))})
	r.status.Store(&host.Info{
		Machine: string(r.name), Replica: r.id, Key: r.key.Public().(ed25519.PublicKey),
		Epoch: at.Epoch, Seq: at.Seq, Chain: at.Chain, Deployed: deployed, Module: module,
		Members: r.machine.Members(), Phase: r.phase, Stored: append([]host.Stored(nil), r.stored...),
		Log: r.promise.Epoch, Broken: r.promised.Load().Reason, MaxMemory: r.machine.Config().MaxMemory,
		Recoveries: r.machine.Recoveries(),
	})
}

// Memory is how a replica keeps its guest's memory.
type Memory struct {
	Tracker string // how written pages are found; "" before there is a guest
	Bytes   uint64 // of the guest
}

// Memory tells how the replica keeps its guest's memory.
func (r *Replica) Memory() Memory { return *r.memory.Load() }
