// Package lockstep is the Go SDK for guests: state machines that Lockstep
// replicates. A guest is a main package that registers one Machine:
//
//	type counter struct{ n uint64 }
//
//	func (c *counter) Apply(ctx *lockstep.Ctx, input []byte) ([]byte, error) {
//		if len(input) != 0 {
//			return nil, lockstep.Reject(16, "input is not empty")
//		}
//		c.n++
//		return binary.BigEndian.AppendUint64(nil, c.n), nil
//	}
//
//	func init() { lockstep.Register(&counter{}) }
//
//	func main() {}
//
// and is built as a WASI reactor with the plain Go toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w -buildid=' -buildvcs=false -o counter.wasm .
//
// # What a machine must know
//
// Every replica runs every input, so that a machine must not depend on anything
// but its inputs. The host sees to it: time.Now is ordered time, math/rand and
// the order of maps come from an ordered seed, there are no files and no
// network. An input that is rejected, panics or runs out of gas leaves no trace
// in the state. Goroutines run only while an export does.
//
// The state is the whole memory of the guest. A new build of it cannot keep
// the old one's memory: implement State to let an upgrade carry it over.
//
// For tests on the build machine, Mock makes a Ctx.
package lockstep

import "io"

// Machine is a replicated state machine.
type Machine interface {
	// Apply runs one input. An error rejects the input: the state goes back to
	// what it was, and the caller gets the error's code and text.
	// input is valid until Apply returns.
	Apply(ctx *Ctx, input []byte) (output []byte, err error)
}

// Querier is a Machine that answers reads. What a query changes is undone.
type Querier interface {
	Query(ctx *Ctx, input []byte) (output []byte, err error)
}

// Checked is a Machine that can tell when its state is not as it must always be:
// an error says what is wrong. lockstep test and package hosttest ask after each
// input, replicas at each audit. What Invariant changes is undone.
type Checked interface {
	Invariant(ctx *Ctx) error
}

// Initializer is a Machine that wants to know when it is deployed. An error
// stops the deployment.
type Initializer interface {
	Init(ctx *Ctx) error
}

// Timed is a Machine that sets timers: Timer runs when one is due. The timer is
// no longer pending, also if Timer fails, which undoes what it did.
type Timed interface {
	Timer(ctx *Ctx, id int64) error
}

// State is a Machine that can be upgraded: the old build saves, the new one,
// fresh, loads. An error from either leaves the old build running.
type State interface {
	Save(w io.Writer) error
	Load(r io.Reader) error
}

// machine is the one that was registered.
var machine Machine

// Register makes m the guest's machine. It is called once, from init.
func Register(m Machine) {
	if machine != nil {
		panic("lockstep: Register called twice")
	}
	machine = m
}
