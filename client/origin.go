package client

import (
	"context"
	"fmt"

	"lockstep/audit"
	"lockstep/host"
)

// DeployFrom is Deploy for a machine that begins from another one's checkpoint,
// by its root: memory, globals and timers of the guest, and its module, are as
// they were there; members, sessions and the log are the new machine's. What
// config leaves open is as it was there too. A majority of the replicas' nodes
// must have imported the checkpoint; the others take the state from them.
//
// The root is what is trusted: it names the whole state.
func (c *Client) DeployFrom(ctx context.Context, root audit.Digest, config host.Config, replicas []audit.ReplicaID) (Output, error) {
	members, err := c.named(ctx, replicas)
	if err != nil {
		return Output{}, fmt.Errorf("deploy %s: %w", c.opts.Machine, err)
	}
	body := host.Deploy{Machine: c.opts.Machine, Config: config, Members: members, Checkpoint: root}
	request := host.Prepare{Checkpoint: root, Config: config}
	if body.Holders, err = c.gatherHoldings(ctx, request, root, audit.Members{List: members}); err != nil {
		return Output{}, fmt.Errorf("deploy %s from checkpoint %s: %w", c.opts.Machine, root, err)
	}
	return c.control(ctx, host.ControlDeploy, host.DeployFormat.Encode(body))
}
