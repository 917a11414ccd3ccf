package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/host"
	"lockstep/ordering"
)

// made is a checkpoint that was ordered, as JSON has it.
type made struct {
	Machine string            `json:"machine"`
	Epoch   uint64            `json:"epoch"`
	Seq     uint64            `json:"seq"`
	Root    string            `json:"root"`
	Nodes   []audit.ReplicaID `json:"nodes"` // that have it on disk
}

func checkpointMakeCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "make MACHINE",
		Short: "Have all replicas keep their state at one and the same seq",
		Long: `Orders a checkpoint, and waits until each voter that answers, a majority at least, has
it on disk. The log is then cut there. Machines make checkpoints by themselves too, so
that no log grows beyond its bound; this is for what is to be kept now, as in a backup.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := r.within(c)
			defer cancel()
			cl, done, err := r.session(ctx, args[0])
			if err != nil {
				return err
			}
			defer done()
			out, err := cl.Checkpoint(ctx)
			if err != nil {
				return err
			}
			v, err := awaitStored(ctx, cl, out.Seq)
			if err != nil {
				return err
			}
			v.Machine = args[0]
			return r.show(c, v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "checkpoint of %s at seq %d is on %s\nroot  %s\n", v.Machine, v.Seq, join(v.Nodes), v.Root)
				return err
			})
		},
		ValidArgsFunction: r.completeMachines,
	}
}

// storedPause is how long to wait before replicas are asked again; asking takes as long.
const storedPause = 50 * time.Millisecond

// awaitStored waits until each voter that answers, a majority at least, has the checkpoint.
func awaitStored(ctx context.Context, cl *client.Client, seq ordering.Seq) (made, error) {
	members, err := cl.Members(ctx)
	if err != nil {
		return made{}, err
	}
	var have, want int
	for {
		infos, err := cl.Infos(ctx)
		if err == nil {
			v := made{Seq: uint64(seq)}
			have, want = 0, members.Majority()
			answered := 0
			for i := range infos {
				if _, voter := members.Voter(infos[i].Replica); !voter {
					continue
				}
				answered++
				if at, ok := storedAt(&infos[i], seq); ok {
					have++
					v.Epoch, v.Root = uint64(at.Epoch), at.Root.Hex()
					v.Nodes = append(v.Nodes, infos[i].Replica)
				}
			}
			if have == answered && have >= want {
				slices.Sort(v.Nodes)
				return v, nil
			}
		}
		select {
		case <-ctx.Done():
			return made{}, fmt.Errorf("the checkpoint at seq %d is ordered, and on the disks of %d voters in time, where a majority is %d: 'lockstep status' tells what holds it up", seq, have, want)
		case <-time.After(storedPause):
		}
	}
}

func storedAt(in *host.Info, seq ordering.Seq) (host.Stored, bool) {
	for _, s := range in.Stored {
		if s.Seq == seq {
			return s, true
		}
	}
	return host.Stored{}, false
}
