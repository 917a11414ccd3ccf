package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/nodes"
	"lockstep/cmd/lockstep/files"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/ordering"
)

// nodeStatus and replicaStatus are rows of status, as JSON has them.
type nodeStatus struct {
	Node      audit.ReplicaID `json:"node"`
	Version   string          `json:"version"`
	Server    string          `json:"server,omitempty"`
	Up        float64         `json:"up_seconds"`
	Engine    string          `json:"engine"`
	Machines  []ordering.Name `json:"machines"`
	Memory    uint64          `json:"memory_bytes"`               // that guests may come to take
	MaxMemory uint64          `json:"max_memory_bytes,omitempty"` // bound on that
	Silent    bool            `json:"no_answer,omitempty"`        // then Machines are those that it votes for, and nothing else is known
}

type replicaStatus struct {
	Node     audit.ReplicaID `json:"node"`
	Phase    string          `json:"phase"`
	Voter    bool            `json:"voter"`
	Epoch    uint64          `json:"epoch"`
	Seq      uint64          `json:"seq"`
	Lag      uint64          `json:"lag"`
	Chain    string          `json:"chain"`
	Engine   string          `json:"engine"`
	Tracker  string          `json:"tracker,omitempty"`
	Memory   uint64          `json:"memory_bytes,omitempty"`
	Stored   uint64          `json:"checkpoint_seq"`
	Root     string          `json:"checkpoint_root,omitempty"`
	Module   string          `json:"module,omitempty"`
	LogFirst uint64          `json:"log_first"`
	LogLast  uint64          `json:"log_last"`
	LogBytes uint64          `json:"log_bytes"`
	Problem  string          `json:"problem,omitempty"`
	Faults   uint32          `json:"faults,omitempty"`                 // of this replica, that nodes keep evidence of
	Broken   string          `json:"invariant_broken,omitempty"`       // why
	BrokenAt uint64          `json:"invariant_broken_since,omitempty"` // seq of the audit that found it
	// Recoveries are the epochs that began on an operator's word.
	Recoveries []recoveryRow `json:"recoveries,omitempty"`
}

// writeMembers writes the membership that a majority of a machine's voters states,
// for 'lockstep verify'.
func (r *remote) writeMembers(ctx context.Context, machine, path string) error {
	cl, done, err := r.session(ctx, machine)
	if err != nil {
		return err
	}
	defer done()
	m, err := cl.Members(ctx)
	if err != nil {
		return err
	}
	return files.Write(path, host.MembersFormat.Encode(m))
}

func statusCommand(r *remote) *cobra.Command {
	var members string
	c := &cobra.Command{
		Use:   "status [MACHINE]",
		Short: "Show the nodes and their machines, or the replicas of one machine",
		Long: `Without a machine: every node, and the machines that it hosts; of one that does not answer
it is known that it votes for a machine of another.
With one: where each of its replicas stands. LAG is the number of entries of the log
that the replica has not applied; ROOT is of its newest checkpoint, which all replicas
that are at the same seq must have alike. A voter whose node does not answer is shown too.
Epochs that began on an operator's word are listed, with what they may have lost.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if members != "" && len(args) == 0 {
				return usage("name the machine whose membership to write")
			}
			ctx, cancel := r.within(c)
			defer cancel()
			conn, err := r.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			var machine ordering.Name
			if len(args) > 0 {
				machine = ordering.Name(args[0])
			}
			all, err := r.list(ctx, conn, machine, 1)
			if err != nil {
				return err
			}
			if members != "" {
				if err := r.writeMembers(ctx, string(machine), members); err != nil {
					return err
				}
			}
			if machine == "" {
				hosted, _ := hostedBy(ctx, conn, machines(all)) // those that answer are shown, whatever is not known of others
				rows := append(nodeRows(all), silentNodes(all, hosted)...)
				return r.show(c, rows, func(w io.Writer) error { return writeNodes(w, rows) })
			}
			rows := replicaRows(all)
			if len(rows) == 0 {
				return unhosted(machine, all)
			}
			return r.show(c, rows, func(w io.Writer) error {
				return errors.Join(writeReplicas(w, machine, rows), writeRecoveries(w, recoveriesOf(all)))
			})
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().StringVar(&members, "members", "", "file to write the machine's membership to, for 'lockstep verify'")
	return c
}

func nodeRows(all []admin.Node) []nodeStatus {
	rows := make([]nodeStatus, 0, len(all))
	for _, n := range all {
		rows = append(rows, nodeStatus{
			Node: n.Name, Version: n.Version, Server: n.Server, Up: time.Since(time.Unix(0, n.Started)).Seconds(), Engine: n.Engine,
			Machines: n.Machines, Memory: n.Memory, MaxMemory: n.MaxMemory,
		})
	}
	return rows
}

// machinesAsked bounds the machines that nodes are asked about at once.
const machinesAsked = 64

// hostedBy asks the nodes about each machine, of the first machinesAsked. With an error, those are there that were answered.
func hostedBy(ctx context.Context, conn *nats.Conn, names []ordering.Name) (map[ordering.Name][]admin.Node, error) {
	var mu sync.Mutex
	var asked sync.WaitGroup
	var failed error
	by := make(map[ordering.Name][]admin.Node)
	for _, name := range names[:min(len(names), machinesAsked)] {
		asked.Go(func() {
			all, err := nodes.List(ctx, conn, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			by[name] = all
		})
	}
	asked.Wait()
	return by, failed
}

// silentNodes are the nodes that did not answer, though machines of others count on their votes.
func silentNodes(heard []admin.Node, by map[ordering.Name][]admin.Node) []nodeStatus {
	found := make(map[audit.ReplicaID]nodeStatus)
	for _, name := range slices.Sorted(maps.Keys(by)) {
		for _, r := range replicaRows(by[name]) {
			there := slices.ContainsFunc(heard, func(n admin.Node) bool { return n.Name == r.Node })
			if r.Phase == silent && !there {
				found[r.Node] = nodeStatus{Node: r.Node, Silent: true, Machines: append(found[r.Node].Machines, name)}
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b nodeStatus) int { return cmp.Compare(a.Node, b.Node) })
}

func writeNodes(w io.Writer, rows []nodeStatus) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "NODE\tSERVER\tUP\tENGINE\tVERSION\tMACHINES")
	for _, n := range rows {
		if n.Silent {
			_, _ = fmt.Fprintf(t, "%s\t%s\t-\t-\t-\t%s\n", n.Node, silent, machineList(n.Machines))
			continue
		}
		up := (time.Duration(n.Up) * time.Second).String()
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Node, first(n.Server, "outside"), up, n.Engine, n.Version, first(machineList(n.Machines), "-"))
	}
	return t.Flush()
}

func machineList(names []ordering.Name) string {
	text := ""
	for i, n := range names {
		if i > 0 {
			text += " "
		}
		text += string(n)
	}
	return text
}

// machines are those that nodes host, by name.
func machines(all []admin.Node) []ordering.Name {
	var names []ordering.Name
	for _, n := range all {
		names = append(names, n.Machines...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unhosted says that there is no such machine, and which there are.
func unhosted(machine ordering.Name, all []admin.Node) error {
	there := "none is deployed yet"
	if names := machines(all); len(names) > 0 {
		there = "these are hosted: " + machineList(names)
	}
	return fmt.Errorf("no node hosts machine %s; %s: %w", machine, there, errUnreachable)
}

func replicaRows(all []admin.Node) []replicaStatus {
	var rows []replicaStatus
	for _, n := range all {
		for i := range n.Machine {
			rows = append(rows, replicaRow(n, &n.Machine[i]))
		}
	}
	rows = append(rows, silentRows(all, rows)...)
	for i := range rows {
		rows[i].Faults = faultsKept(all, rows[i].Node)
	}
	return rows
}

// faultsKept is how many faults of a replica the node keeps that keeps most of them.
func faultsKept(all []admin.Node, replica audit.ReplicaID) (n uint32) {
	for _, by := range all {
		for i := range by.Machine {
			for _, f := range by.Machine[i].Faults {
				if f.Replica == replica {
					n = max(n, f.Kept)
				}
			}
		}
	}
	return n
}

// silent is the phase of a voter, and said of a node, that did not answer.
const silent = "no answer"

// silentRows are the voters that nobody heard of, by the membership of the replica
// that is furthest.
func silentRows(all []admin.Node, heard []replicaStatus) []replicaStatus {
	var members audit.Members
	var furthest ordering.Seq
	for _, n := range all {
		for i := range n.Machine {
			if in := &n.Machine[i].Info; in.Seq >= furthest {
				furthest, members = in.Seq, in.Members
			}
		}
	}
	var rows []replicaStatus
	for i := range members.List {
		id := members.List[i].ID
		if members.List[i].Voter && !slices.ContainsFunc(heard, func(r replicaStatus) bool { return r.Node == id }) {
			rows = append(rows, replicaStatus{Node: id, Phase: silent, Voter: true})
		}
	}
	return rows
}

func replicaRow(n admin.Node, m *admin.Machine) replicaStatus {
	in := &m.Info
	_, voter := in.Members.Voter(n.Name)
	row := replicaStatus{
		Node: n.Name, Phase: in.Phase.String(), Voter: voter, Epoch: uint64(in.Epoch), Seq: uint64(in.Seq), Chain: fmt.Sprintf("%x", in.Chain[:]),
		Engine: n.Engine, Tracker: m.Tracker, Memory: m.Memory, LogFirst: uint64(m.LogFirst), LogLast: uint64(m.LogLast), LogBytes: m.LogBytes, Problem: m.Problem,
		Broken: m.Broken, BrokenAt: uint64(m.BrokenAt),
	}
	for i := range in.Recoveries {
		row.Recoveries = append(row.Recoveries, recoveryOf(&in.Recoveries[i]))
	}
	if in.Phase == host.PhaseBroken {
		row.Problem = "votes no more in epoch " + fmt.Sprint(uint64(in.Log)) + ": " + first(in.Broken, m.Problem) + "; where that lasts, see 'lockstep recover'"
	}
	if m.LogLast > in.Seq {
		row.Lag = uint64(m.LogLast - in.Seq)
	}
	if in.Deployed {
		row.Module = in.Module.Hex()
	}
	if last := len(in.Stored) - 1; last >= 0 {
		row.Stored, row.Root = uint64(in.Stored[last].Seq), in.Stored[last].Root.Hex()
	}
	return row
}

func writeReplicas(w io.Writer, machine ordering.Name, rows []replicaStatus) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "NODE\tPHASE\tSEQ\tLAG\tCHAIN\tCHECKPOINT\tROOT\tMODULE\tENGINE\tTRACKER\tLOG")
	for _, r := range rows {
		if r.Phase == silent {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", r.Node, r.Phase)
			continue
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.12s\t%d\t%.12s\t%.12s\t%s\t%s\t%d-%d, %s\n", r.Node, r.Phase, r.Seq, r.Lag, r.Chain, r.Stored, first(r.Root, "-"),
			first(r.Module, "-"), r.Engine, first(r.Tracker, "-"), r.LogFirst, r.LogLast, bytesText(r.LogBytes))
		for _, wrong := range r.wrongs() {
			_, _ = fmt.Fprintf(t, "\t%s\n", wrong)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Faults > 0 {
			if _, err := fmt.Fprintf(w, "%s signed what cannot be true, %d times: see 'lockstep evidence %s'\n", r.Node, r.Faults, machine); err != nil {
				return err
			}
		}
	}
	return nil
}

// wrongs are what is wrong with a replica, a line each.
func (r replicaStatus) wrongs() (list []string) {
	if r.Problem != "" {
		list = append(list, harmless(r.Problem))
	}
	if r.Broken != "" {
		list = append(list, fmt.Sprintf("the guest's invariant does not hold since the audit at seq %d: %s", r.BrokenAt, harmless(r.Broken)))
	}
	return list
}

func bytesText(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// completeMachines completes the name of a machine that a node hosts.
func (r *remote) completeMachines(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	where, err := r.where()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	conn, err := where.Connect(connName) // whoever presses the key waits for no node that starts
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer conn.Close()
	all, err := nodes.List(ctx, conn, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, m := range machines(all) {
		names = append(names, string(m))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
