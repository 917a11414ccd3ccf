package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/membership"
	"lockstep/client/nodes"
	"lockstep/host/admin"
	"lockstep/ordering"
)

func joinCommand(r *remote) *cobra.Command {
	system := ""
	c := &cobra.Command{
		Use:   "join MACHINE NODE",
		Short: "Make the replica on a node a voter, once it has caught up",
		Long: `Has a node that runs host the machine, waits until its replica has what the others
have, and orders that it votes. The log is then kept by as many nodes' servers as the
voters need. What was begun and interrupted is finished by asking again.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return r.change(c, args[0], system, func(ctx context.Context, m *membership.Cluster) error {
				if err := hostFor(ctx, m, args[1]); err != nil {
					return err
				}
				return m.Join(ctx, audit.ReplicaID(args[1]))
			})
		},
	}
	systemFlag(c, &system)
	return c
}

func quitCommand(r *remote) *cobra.Command {
	var system string
	var forget bool
	c := &cobra.Command{
		Use:   "quit MACHINE NODE",
		Short: "End the vote of the replica on a node, whether or not that runs",
		Long: `Orders that a replica votes no longer, and moves the log's copy on its node's server to
another. It is refused if too few of the voters that are left answer.

With --forget the node is gone for ever, or has been stopped for good: its server is
removed from those whose majority elects. That needs --system-nkey. The node's name
must not come back; its disk may, under a new name and without its folder "log".`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return r.change(c, args[0], system, func(ctx context.Context, m *membership.Cluster) error {
				if err := m.Quit(ctx, audit.ReplicaID(args[1])); err != nil || !forget {
					return err
				}
				return m.Forget(ctx, args[1])
			})
		},
	}
	c.Flags().BoolVar(&forget, "forget", false, "the node does not come back: forget its server too")
	systemFlag(c, &system)
	return c
}

func replaceCommand(r *remote) *cobra.Command {
	system := ""
	c := &cobra.Command{
		Use:   "replace MACHINE GONE NODE",
		Short: "Have a node vote in place of one that is gone for ever",
		Long: `What 'lockstep join' of the one and 'lockstep quit --forget' of the other do. Give
--system-nkey where nodes have servers of their own: a server that is gone counts
when the others elect until it is forgotten.`,
		Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			if args[1] == args[2] {
				return usage("a node that comes back needs another name than %s: its server is known by it", args[1])
			}
			return r.change(c, args[0], system, func(ctx context.Context, m *membership.Cluster) error {
				if err := hostFor(ctx, m, args[2]); err != nil {
					return err
				}
				return m.Replace(ctx, audit.ReplicaID(args[1]), audit.ReplicaID(args[2]))
			})
		},
	}
	systemFlag(c, &system)
	return c
}

// hostFor has a node host the machine. Where there is no such node, it says which there are.
func hostFor(ctx context.Context, m *membership.Cluster, node string) error {
	all, err := nodes.List(ctx, m.Conn, "")
	if err != nil {
		return err
	}
	var there []audit.ReplicaID
	for _, n := range all {
		there = append(there, n.Name)
	}
	if !slices.Contains(there, audit.ReplicaID(node)) {
		return fmt.Errorf("no node of that name answers: %s; these do: %s: %w", node, join(there), errUnreachable)
	}
	return nodes.Host(ctx, m.Conn, audit.ReplicaID(node), admin.HostRequest{Machine: m.Machine})
}

// change connects for a change of a machine's membership, and tells of its steps.
func (r *remote) change(c *cobra.Command, machine, systemKey string, f func(context.Context, *membership.Cluster) error) error {
	ctx, cancel := r.within(c)
	defer cancel()
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	system, err := r.systemConn(systemKey)
	if err != nil {
		return err
	}
	if system != nil {
		defer system.Close()
	}
	all, err := nodes.List(ctx, conn, "")
	if err != nil {
		return err
	}
	cl, done, err := r.session(ctx, machine)
	if err != nil {
		return err
	}
	defer done()
	m := &membership.Cluster{Machine: ordering.Name(machine), Client: cl, Conn: conn, System: system}
	for _, n := range all {
		m.Embedded = m.Embedded || n.Server != ""
	}
	m.OnStep = func(step string) { _, _ = fmt.Fprintln(c.ErrOrStderr(), step) } // for whoever watches
	if err := f(ctx, m); err != nil {
		return err
	}
	members, err := cl.Members(ctx)
	if err != nil {
		return err
	}
	var voters []string
	for i := range members.List {
		if members.List[i].Voter {
			voters = append(voters, string(members.List[i].ID))
		}
	}
	if r.asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"voters": voters, "seq": members.Seq})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d voters: %v\n", machine, len(voters), voters)
	return err
}
