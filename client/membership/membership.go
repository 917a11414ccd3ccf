// Package membership changes who votes in a machine, and has the servers that keep its log
// follow: a replica is a voter only once it has caught up, and no change is made that the replicas
// which answer could not carry on from.
//
// A change is a few steps, each of which can be repeated; one that was interrupted is finished by asking for it
// again.
//
//	Join     catch up → ordered JOIN → more copies of the log
//	Quit     ordered QUIT → fewer copies of the log → none on the leaver's server
//	Replace  Join of the one, then Quit of the other, whose server is forgotten
//
// # The log's servers
//
// Nodes that have a NATS server of their own give it the node's name. As many servers keep the log as voters
// need: the odd number that is not above theirs, at most 5. A server that is gone for ever counts when the
// others elect until it is forgotten. Its name must not come back: nats-server's raft
// would take what it has forgotten for what it knows. The node's disk may, under a new name, without the server's files.
package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// Cluster is one machine and what is needed to change its membership.
type Cluster struct {
	Machine ordering.Name
	Client  *client.Client // a session with the machine
	Conn    *nats.Conn     // one that may change streams; only used if Embedded
	// System is a connection in the servers' system account. Without it no server is forgotten.
	System *nats.Conn
	// Embedded says that the log is on the nodes' own servers, which follow the membership.
	Embedded bool
	// OnStep is told what is being done. Nil: nobody.
	OnStep func(string)
}

// Errors that callers branch on.
var (
	// ErrUnsafe says that too few voters answer to carry on after the change.
	ErrUnsafe = errors.New("too few voters would be left that answer")
	// ErrRuns says that a server cannot be forgotten, for it answers.
	ErrRuns = errors.New("the server runs: stop its node first")
)

// How often what is waited for is looked at, how long one look may take, and for how long a replica that does not
// answer counts as busy.
const (
	pollEvery = 100 * time.Millisecond
	lookWait  = 5 * time.Second
	busy      = 8 * time.Second
)

func (c *Cluster) step(format string, args ...any) {
	if c.OnStep != nil {
		c.OnStep(fmt.Sprintf(format, args...))
	}
}

// Join makes a replica a voter, whose node hosts the machine already, once it has caught up with
// the others. Joining a voter only has the servers follow.
func (c *Cluster) Join(ctx context.Context, replica audit.ReplicaID) error {
	members, err := c.known(ctx)
	if err != nil {
		return fmt.Errorf("join %s: %w", replica, err)
	}
	if _, voter := members.Voter(replica); !voter {
		c.step("waiting for %s to have what the others have", replica)
		if err := c.awaitCaughtUp(ctx, replica); err != nil {
			return fmt.Errorf("join %s: %w", replica, err)
		}
		c.step("ordering JOIN of %s", replica)
		if err := c.orderJoin(ctx, replica); err != nil {
			return fmt.Errorf("join %s: %w", replica, err)
		}
	}
	if err := c.follow(ctx, ""); err != nil {
		return fmt.Errorf("join %s: it votes, but the log's servers do not follow: %w", replica, err)
	}
	return nil
}

// orderJoin orders a JOIN. The client asks the replica for its key, and one under load may answer late.
func (c *Cluster) orderJoin(ctx context.Context, replica audit.ReplicaID) error {
	began := time.Now()
	return c.poll(ctx, fmt.Sprintf("a majority of voters to answer the JOIN of %s", replica), func(ctx context.Context) (bool, error) {
		_, err := c.Client.Join(ctx, replica)
		open := errors.As(err, new(*client.FailError)) // a second JOIN changes nothing
		return err == nil || errors.As(err, new(*client.RefusedError)) || !open && time.Since(began) > busy, err
	})
}

// Quit ends a replica's membership, whether or not it runs. It is ErrUnsafe if the voters that answer would be
// no majority of those that are left. The replica's node and server are left as they are; Forget is for those
// that do not come back.
func (c *Cluster) Quit(ctx context.Context, replica audit.ReplicaID) error {
	members, err := c.known(ctx)
	if err != nil {
		return fmt.Errorf("quit %s: %w", replica, err)
	}
	if members.Find(replica) == nil {
		c.step("%s is no member: nothing to order", replica)
	} else {
		if _, voter := members.Voter(replica); voter && members.Voters() == 1 {
			return fmt.Errorf("quit %s: it is the only voter: %w", replica, ErrUnsafe)
		}
		if err := c.survives(ctx, members, replica); err != nil {
			return fmt.Errorf("quit %s: %w", replica, err)
		}
		c.step("ordering QUIT of %s", replica)
		if _, err := c.Client.Quit(ctx, replica); err != nil {
			return fmt.Errorf("quit %s: %w", replica, unanswered(err))
		}
	}
	if err := c.follow(ctx, string(replica)); err != nil {
		return fmt.Errorf("quit %s: it votes no longer, but the log's servers do not follow: %w", replica, err)
	}
	return nil
}

// Replace makes fresh a voter in place of gone, and forgets gone's server unless that runs.
func (c *Cluster) Replace(ctx context.Context, gone, fresh audit.ReplicaID) error {
	if gone == fresh {
		return fmt.Errorf("replace %s: by itself: a node that comes back needs another name", gone)
	}
	if err := c.Join(ctx, fresh); err != nil {
		return fmt.Errorf("replace %s: %w", gone, err)
	}
	if err := c.Quit(ctx, gone); err != nil {
		return fmt.Errorf("replace %s: %w", gone, err)
	}
	if err := c.Forget(ctx, string(gone)); err != nil && !errors.Is(err, ErrRuns) {
		return fmt.Errorf("replace %s: %w", gone, err)
	}
	return nil
}

// known is the membership. That it cannot be had just now, as while the connection goes to another
// server, passes.
func (c *Cluster) known(ctx context.Context) (members audit.Members, err error) {
	began := time.Now()
	err = c.poll(ctx, "a majority of voters to state the membership", func(ctx context.Context) (bool, error) {
		var err error
		members, err = c.Client.Members(ctx)
		return err == nil || time.Since(began) > busy, err
	})
	return members, err
}

// survives reports whether the voters that answer can carry on once one has left. One that is busy is asked again.
func (c *Cluster) survives(ctx context.Context, members audit.Members, leaves audit.ReplicaID) error {
	began := time.Now()
	return c.poll(ctx, "the voters to say where they are", func(ctx context.Context) (bool, error) {
		infos, err := c.Client.Infos(ctx)
		if err == nil {
			err = survive(members, infos, leaves)
		}
		return err == nil || time.Since(began) > busy, err
	})
}

func survive(members audit.Members, infos []host.Info, leaves audit.ReplicaID) error {
	_, counts := members.Voter(leaves)
	left, answer := members.Voters(), 0
	if counts {
		left--
	}
	for _, in := range protocol.OfVoters(infos, members) {
		if in.Replica != leaves && in.Phase == host.PhaseVoting {
			answer++
		}
	}
	if need := left/2 + 1; answer < need {
		return fmt.Errorf("%w: %d of %d, and %d are needed", ErrUnsafe, answer, left, need)
	}
	return nil
}

// awaitCaughtUp waits until a replica follows the voters closely: see pursuit.
func (c *Cluster) awaitCaughtUp(ctx context.Context, replica audit.ReplicaID) error {
	var behind pursuit
	began, heard := time.Now(), false
	return c.poll(ctx, fmt.Sprintf("%s to have what the others have", replica), func(ctx context.Context) (bool, error) {
		infos, err := c.Client.Infos(ctx)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(infos, func(in host.Info) bool { return in.Replica == replica })
		switch {
		case i < 0 && !heard:
			return time.Since(began) > busy, fmt.Errorf("no node of that name answers for machine %s: does it run, and host the machine?", c.Machine)
		case i < 0:
			return false, errors.New("it does not answer any more")
		case infos[i].Phase == host.PhaseStopped:
			return true, errors.New("its replica has stopped: its log says why")
		}
		heard = true
		if behind.see(look{time.Now(), furthest(infos, replica), infos[i].Seq}) && infos[i].Deployed {
			return true, nil
		}
		return false, errors.New(behind.String())
	})
}

// furthest is the highest seq that most of the others have reached, so that one that lies cannot keep anybody
// waiting.
func furthest(infos []host.Info, but audit.ReplicaID) ordering.Seq {
	var seqs []ordering.Seq
	for i := range infos {
		if infos[i].Replica != but && infos[i].Phase == host.PhaseVoting {
			seqs = append(seqs, infos[i].Seq)
		}
	}
	if len(seqs) == 0 {
		return 0
	}
	slices.Sort(seqs)
	return seqs[len(seqs)/2]
}

// poll looks until it is done, for better or worse, or ctx ends; then the error says what was waited for, and the last look
// why it is not so. What fails is tried again: servers may be electing, and a question may be lost on its way.
func (c *Cluster) poll(ctx context.Context, what string, look func(context.Context) (done bool, why error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, lookWait)
		done, why := look(try)
		cancel()
		if done {
			return why
		}
		if ctx.Err() == nil || last == nil { // else it was cut short
			last = why
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return unfinished(what, last, context.Cause(ctx))
		}
	}
}

// unanswered says what to do about an order of which it is not known what became of it.
func unanswered(err error) error {
	if errors.As(err, new(*client.FailError)) {
		return fmt.Errorf("no majority of voters has answered the QUIT in time: %w; order it again: a second one changes nothing", err)
	}
	return err
}

// unfinished says what was waited for when the time was over, what was seen last, and what to do.
func unfinished(what string, last, ended error) error {
	if last == nil || errors.Is(last, context.DeadlineExceeded) || errors.Is(last, context.Canceled) {
		last = errors.New("nobody answers: are the nodes up, and connected to each other?")
	}
	return fmt.Errorf("ended while waiting for %s: %w: %w; ask for it again, with more time: it goes on from there", what, last, ended)
}

// ref is the log that the replicas follow.
func (c *Cluster) ref(ctx context.Context) (jetstream.Ref, error) {
	infos, err := c.Client.Infos(ctx)
	ref := jetstream.Ref{Machine: c.Machine, Epoch: 1}
	for i := range infos {
		if infos[i].Phase == host.PhaseVoting {
			ref.Epoch = max(ref.Epoch, infos[i].Epoch)
		}
	}
	return ref, err
}
