package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host"
)

// How long replicas may take to fetch and compile a module after the first has
// done so, and how long the others at least have once a majority has: as long as
// that took, so that a replica that is down holds nothing up.
const (
	preparePatience = 10 * time.Second
	minorPatience   = time.Second
)

// Deploy makes the machine: the replicas named, each on a node that hosts it
// already, become its voters, and the module their guest. It returns when a
// majority has run the guest's lockstep_init. A module that is no guest is a
// *RefusedError that says why; where lockstep_init does not end well, the error is as Call's. Then there
// is no machine, and another DEPLOY may make it.
func (c *Client) Deploy(ctx context.Context, wasm []byte, config host.Config, replicas []audit.ReplicaID) (Output, error) {
	members, err := c.named(ctx, replicas)
	if err != nil {
		return Output{}, fmt.Errorf("deploy %s: %w", c.opts.Machine, err)
	}
	body := host.Deploy{Machine: c.opts.Machine, Module: host.ModuleDigest(wasm), Config: config, Members: members}
	if body.Holders, err = c.prepare(ctx, wasm, config, audit.Members{List: body.Members}); err != nil {
		return Output{}, err
	}
	out, err := c.control(ctx, host.ControlDeploy, host.DeployFormat.Encode(body))
	if errors.As(err, new(*TrapError)) || errors.As(err, new(*RejectedError)) || errors.Is(err, ErrOutOfGas) {
		return out, fmt.Errorf("machine is not deployed: its guest's lockstep_init failed: %w", err)
	}
	return out, err
}

// named asks replicas for their keys, again for a while where one is too busy
// to answer at once, as one is that brings up a guest.
func (c *Client) named(ctx context.Context, replicas []audit.ReplicaID) ([]audit.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, preparePatience)
	defer cancel()
	var members []audit.Member
	for {
		infos, err := c.Infos(ctx)
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		if err == nil { // else its time is over, and it is there in part
			if members, err = foundersAmong(infos, replicas); err != nil {
				return nil, err
			}
		}
		if len(members) == len(replicas) {
			slices.SortFunc(members, func(a, b audit.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
			return members, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("replicas that are named do not answer, %v: start their nodes, or name others: %w", silent(replicas, members), ctx.Err())
		}
	}
}

// foundersAmong are the replicas named that answer, as voters.
func foundersAmong(infos []host.Info, replicas []audit.ReplicaID) (members []audit.Member, err error) {
	for _, id := range replicas {
		m, ok, err := only(infos, id)
		if err != nil {
			return nil, err
		}
		if ok {
			members = append(members, m)
		}
	}
	return members, nil
}

// only is the one replica of a name that answers, as a voter. Where there is no membership yet that has its key, two of one name
// cannot be told apart.
func only(infos []host.Info, id audit.ReplicaID) (m audit.Member, ok bool, err error) {
	for i := range infos {
		if infos[i].Replica != id {
			continue
		}
		if ok {
			return m, false, fmt.Errorf("two replicas answer as %s, with keys %x and %x: one of them is not it; see who may speak as a node", id, m.Key, infos[i].Key)
		}
		m, ok = audit.Member{ID: id, Key: infos[i].Key, Voter: true}, true
	}
	return m, ok, nil
}

// silent are the replicas that are not among the members.
func silent(replicas []audit.ReplicaID, members []audit.Member) []audit.ReplicaID {
	return slices.DeleteFunc(slices.Clone(replicas), func(id audit.ReplicaID) bool {
		return slices.ContainsFunc(members, func(m audit.Member) bool { return m.ID == id })
	})
}

// Upgrade replaces the guest by another module, which takes over its state.
// Output.Seq is the entry at which every replica switches.
func (c *Client) Upgrade(ctx context.Context, wasm []byte) (Output, error) {
	members, err := c.Members(ctx)
	if err != nil {
		return Output{}, err
	}
	body := host.Upgrade{Module: host.ModuleDigest(wasm)}
	if body.Holders, err = c.prepare(ctx, wasm, host.Config{}, members); err != nil {
		return Output{}, err
	}
	return c.control(ctx, host.ControlUpgrade, host.UpgradeFormat.Encode(body))
}

// Checkpoint makes every replica keep its state at one and the same seq, which
// is Output.Seq. The log is cut up to it when a majority has it on disk.
func (c *Client) Checkpoint(ctx context.Context) (Output, error) {
	return c.control(ctx, host.ControlCheckpoint, nil)
}

// Join makes a replica, on a node that hosts the machine, a voter.
func (c *Client) Join(ctx context.Context, replica audit.ReplicaID) (Output, error) {
	infos, err := c.Infos(ctx)
	if err != nil {
		return Output{}, err
	}
	member, ok, err := only(infos, replica)
	if err != nil {
		return Output{}, fmt.Errorf("join %s: %w", replica, err)
	}
	if !ok {
		return Output{}, fmt.Errorf("join %s: no node of that name answers for machine %s", replica, c.opts.Machine)
	}
	return c.control(ctx, host.ControlJoin, host.JoinFormat.Encode(host.Join{Member: member}))
}

// Quit ends a replica's membership.
func (c *Client) Quit(ctx context.Context, replica audit.ReplicaID) (Output, error) {
	return c.control(ctx, host.ControlQuit, host.QuitFormat.Encode(host.Quit{Replica: replica}))
}

// Members asks for the membership, and returns the newest that can be trusted.
func (c *Client) Members(ctx context.Context) (audit.Members, error) {
	infos, err := c.Infos(ctx)
	if err != nil {
		return audit.Members{}, err
	}
	c.learn(infos)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.members.List) == 0 {
		return audit.Members{}, errors.New("no majority of voters states the membership: is the machine deployed?")
	}
	return c.members, nil
}
