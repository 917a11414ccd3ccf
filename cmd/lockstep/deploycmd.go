package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/client/nodes"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/host/daemon"
	"lockstep/ordering"
)

// deployment is what is to be deployed, where and how.
type deployment struct {
	machine  ordering.Name
	wasm     []byte
	from     audit.Digest // root of a checkpoint to begin from; zero: none
	on       []string
	replicas int
	logBytes daemon.Size
	config   host.Config
}

// deployed is what became of it.
type deployed struct {
	Machine  string            `json:"machine"`
	Module   string            `json:"module"`
	Replicas []audit.ReplicaID `json:"replicas"`
	Seq      uint64            `json:"seq"`
	Gas      uint64            `json:"gas"`
}

func deployCommand(r *remote) *cobra.Command {
	d := deployment{}
	var bound *bounds
	var checkpoint, mode, operator string
	c := &cobra.Command{
		Use:   "deploy MACHINE {GUEST.wasm | --checkpoint ROOT}",
		Short: "Make a machine: its log, its replicas and its guest",
		Long: `Asks nodes to host the machine, makes its log, and orders the guest as its first
input. It returns when a majority of the replicas has run the guest's init.

Replicas go to three nodes that host the fewest machines, or to those named with
--on. With one node there is one replica, which no fault is survived with.

With --checkpoint the machine begins from a state that 'lockstep checkpoint import'
has put on most of these nodes, with the guest that the state is of.

--mode says what its outputs are proof against: crash (replicas that only stop; the
first answer counts), majority (that are wrong without meaning to be), signed (replicas
and clients that lie). With --operator-nkey 'recover' needs the seed of that key, and
replicas and clients know by its signature that it was the operator who gave the word:
in mode signed nothing else tells them. Both are for the machine's life.`,
		Example: `  lockstep deploy counter counter.wasm
  lockstep deploy kv kv.wasm --on n1,n2,n3 --memory 1GiB
  lockstep deploy kv kv.wasm --mode signed --operator-nkey operator.nk`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if (len(args) == 2) == (checkpoint != "") {
				return usage("a machine begins either with a guest or with --checkpoint")
			}
			d.machine = ordering.Name(args[0])
			if err := d.machine.Validate(); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			if err := bound.take(); err != nil {
				return err
			}
			if err := d.against(mode, operator); err != nil {
				return err
			}
			if checkpoint != "" {
				d.from, err = readRoot(checkpoint)
			} else {
				d.wasm, err = readGuest(args[1], d.config.MaxMemory)
			}
			if err != nil {
				return err
			}
			ctx, cancel := r.within(c)
			defer cancel()
			done, err := r.deploy(ctx, d, r.progress(c))
			if err != nil {
				return err
			}
			return r.show(c, done, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "deployed %s at seq %d on %s\n", done.Machine, done.Seq, join(done.Replicas))
				return err
			})
		},
	}
	fs := c.Flags()
	bound = boundFlags(fs, &d.config)
	fs.StringVar(&checkpoint, "checkpoint", "", "root of an imported checkpoint to begin from")
	fs.StringSliceVar(&d.on, "on", nil, "nodes that get a replica")
	fs.StringVar(&mode, "mode", audit.Majority.String(), "crash, majority or signed")
	fs.StringVar(&operator, "operator-nkey", "", "public nkey of the machine's operator, or a file with its seed, as 'lockstep init' writes operator.nk")
	fs.IntVar(&d.replicas, "replicas", 0, "number of replicas, odd (default: 3, or 1 where there are fewer nodes)")
	fs.TextVar(&d.logBytes, "log-bytes", daemon.Size(0), "bound on the log; a full log refuses inputs (0: 1GiB)")
	fs.Uint64Var(&d.config.AuditEvery, "audit-every", 0, fmt.Sprintf("entries between audits (0: %d)", host.DefaultAuditEvery))
	fs.Uint64Var(&d.config.CheckpointEvery, "checkpoint-every", 0, fmt.Sprintf("entries between checkpoints (0: %d)", host.DefaultCheckpointEvery))
	return c
}

// against takes what the machine is to be proof against, and whose word it follows, "" for nobody's.
func (d *deployment) against(mode, operator string) (err error) {
	if d.config.Mode, err = audit.ParseMode(mode); err != nil {
		return usage("%w", err)
	}
	if operator != "" {
		d.config.Operator, err = readOperator(operator)
	}
	return err
}

// deploy has nodes host the machine and orders its first input.
func (r *remote) deploy(ctx context.Context, d deployment, progress io.Writer) (deployed, error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return deployed{}, err
	}
	defer conn.Close()
	// A cluster of three gives no machine one replica only because two nodes are late.
	known := len(conn.Servers())
	all, err := r.list(ctx, conn, d.machine, min(known, 3))
	if err != nil {
		return deployed{}, err
	}
	chosen, err := choose(all, known, d)
	if err != nil {
		return deployed{}, err
	}
	if err := hostOn(ctx, conn, d, chosen, len(all), progress); err != nil {
		return deployed{}, err
	}
	cl, err := client.Connect(ctx, client.Options{Machine: string(d.machine), Conn: conn})
	if err != nil {
		return deployed{}, err
	}
	defer func() { _ = cl.Close() }() // nothing is under way any more
	deploy, module := cl.Deploy, host.ModuleDigest(d.wasm).Hex()
	if d.from != (audit.Digest{}) {
		module = "that of checkpoint " + d.from.Hex()
		deploy = func(ctx context.Context, _ []byte, config host.Config, on []audit.ReplicaID) (client.Output, error) {
			return cl.DeployFrom(ctx, d.from, config, on)
		}
	}
	var out client.Output
	err = note(progress, fmt.Sprintf("%d nodes take and compile the guest, %s", len(chosen), bytesText(uint64(len(d.wasm)))), func() (err error) {
		out, err = deploy(ctx, d.wasm, d.config, chosen)
		return err
	})
	var refused *client.RefusedError
	if errors.As(err, &refused) && refused.Refusal == host.RefusedDeployed {
		return deployed{}, fmt.Errorf("machine %s is deployed already: 'lockstep upgrade' replaces its guest and keeps its state", d.machine)
	}
	if err != nil {
		return deployed{}, err
	}
	return deployed{string(d.machine), module, chosen, uint64(out.Seq), out.Gas}, nil
}

// choose picks the nodes that get a replica.
func choose(all []admin.Node, known int, d deployment) ([]audit.ReplicaID, error) {
	if len(d.on) > 0 {
		return named(all, d.on)
	}
	n := d.replicas
	if n == 0 {
		n = 3
		if len(all) < 3 {
			n = 1
		}
		if n == 1 && known >= 3 {
			return nil, fmt.Errorf("%d of %d nodes answer: start the others, or say that one replica is enough with --replicas 1", len(all), known)
		}
	}
	if n < 1 || n%2 == 0 {
		return nil, usage("%d replicas: an even number bears no more faults than one less; want 1, 3, 5 …", n)
	}
	if n > len(all) {
		return nil, fmt.Errorf("%d replicas, and %d nodes answer: start more nodes, or ask for fewer replicas", n, len(all))
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b admin.Node) int { return len(a.Machines) - len(b.Machines) })
	ids := make([]audit.ReplicaID, 0, n)
	for _, node := range all[:n] {
		ids = append(ids, node.Name)
	}
	slices.Sort(ids)
	return ids, nil
}

func named(all []admin.Node, on []string) ([]audit.ReplicaID, error) {
	var ids, there []audit.ReplicaID
	for _, n := range all {
		there = append(there, n.Name)
	}
	for _, name := range on {
		if !slices.Contains(there, audit.ReplicaID(name)) {
			return nil, fmt.Errorf("no node %s answers; these do: %s", name, join(there))
		}
		ids = append(ids, audit.ReplicaID(name))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// hostOn asks nodes to host the machine, the first one to make its log.
func hostOn(ctx context.Context, conn *nats.Conn, d deployment, chosen []audit.ReplicaID, running int, progress io.Writer) error {
	servers := 1
	for _, n := range []int{3, 5} {
		if n <= len(chosen) && n <= running {
			servers = n
		}
	}
	for i, id := range chosen {
		q := admin.HostRequest{Machine: d.machine, Create: i == 0, Replicas: uint32(servers), MaxBytes: uint64(d.logBytes)}
		doing := fmt.Sprintf("hosting %s on %s (%d of %d)", d.machine, id, i+1, len(chosen))
		if err := note(progress, doing, func() error { return nodes.Host(ctx, conn, id, q) }); err != nil {
			return err
		}
	}
	return nil
}

func join(ids []audit.ReplicaID) string {
	var names []string
	for _, id := range ids {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

func upgradeCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade MACHINE GUEST.wasm",
		Short: "Replace a machine's guest at one and the same input on every replica",
		Long: `The old guest saves its state as bytes, the new one loads them. Where either
fails, the old guest goes on as if nothing had been asked.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			wasm, err := readGuest(args[1], anyMemory)
			if err != nil {
				return err
			}
			ctx, cancel := r.within(c)
			defer cancel()
			cl, done, err := r.session(ctx, args[0])
			if err != nil {
				return err
			}
			defer done()
			var out client.Output
			if err := note(r.progress(c), "the nodes take and compile the guest, "+bytesText(uint64(len(wasm))), func() (err error) {
				out, err = cl.Upgrade(ctx, wasm)
				return err
			}); err != nil {
				return err
			}
			v := struct {
				Machine string `json:"machine"`
				Module  string `json:"module"`
				Seq     uint64 `json:"seq"`
			}{args[0], host.ModuleDigest(wasm).Hex(), uint64(out.Seq)}
			return r.show(c, v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "upgraded %s at seq %d to %.12s\n", v.Machine, v.Seq, v.Module)
				return err
			})
		},
		ValidArgsFunction: r.completeMachines,
	}
}
