package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/nodes"
	"lockstep/cmd/lockstep/files"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/ordering"
)

// fault is a row of evidence, as JSON has it.
type fault struct {
	Replica string    `json:"replica"`
	Kind    string    `json:"kind"`
	Epoch   uint64    `json:"epoch"`
	Seq     uint64    `json:"seq"`
	Stated  string    `json:"stated"`
	Against string    `json:"against"`
	By      string    `json:"by,omitempty"`
	Members uint64    `json:"members_seq"`
	Found   time.Time `json:"found"` // by the first node that found it
	KeptBy  []string  `json:"kept_by"`
	File    string    `json:"file,omitempty"`

	kept audit.Kept
}

func faultOf(f audit.Fault) fault {
	return fault{
		Replica: string(f.Replica), Kind: f.Kind.String(), Epoch: uint64(f.At.Epoch), Seq: uint64(f.At.Seq),
		Stated: f.Stated[0].String(), Against: f.Stated[1].String(), By: join(f.By),
	}
}

func (f fault) text() string {
	if f.Kind == audit.Contradiction.String() {
		return fmt.Sprintf("it signed %s, and %s", f.Stated, f.Against)
	}
	return fmt.Sprintf("it signed %s; %s signed %s", f.Stated, f.By, f.Against)
}

func evidenceCommand(r *remote) *cobra.Command {
	var folder string
	c := &cobra.Command{
		Use:   "evidence MACHINE",
		Short: "Show signed statements of replicas that cannot be true",
		Long: `What the nodes keep of replicas that signed two states for one seq (a contradiction), or
another state than a majority of voters (a refutation). It proves a fault: of memory, a
disk, an engine, of the log that the replica was given, or of whoever has its key. Which, it
cannot tell; where the log was another one, the chains differ too. A replica that was
repaired leaves its evidence. Each node keeps up to 16 faults of a replica, the first
ones, in the folder machines/MACHINE/evidence of its data; to forget them, remove them
while the node is stopped.

With --write each piece becomes a file that 'lockstep verify' checks, with nobody asked,
and beside it the membership by which the node judged. That is the node's word: whoever
does not trust it checks by one of 'lockstep status MACHINE --members FILE'.`,
		Example: `  lockstep evidence kv --write found
  lockstep verify found/n3.contradiction.1.256.evidence --members found/members.3`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := r.within(c)
			defer cancel()
			conn, err := r.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			machine := ordering.Name(args[0])
			var all []admin.Node
			if err := r.starting(ctx, "waiting for the nodes", func() (again bool, err error) {
				all, err = nodes.Evidence(ctx, conn, machine)
				return errors.Is(err, nodes.ErrNone), err
			}); err != nil {
				return err
			}
			if !slices.ContainsFunc(all, func(n admin.Node) bool { return len(n.Machine) > 0 }) {
				return unhosted(machine, all)
			}
			rows, bad := faultsOf(args[0], all)
			if folder != "" {
				if err := writeEvidence(folder, rows); err != nil {
					return err
				}
			}
			if err := r.show(c, rows, func(w io.Writer) error { return showFaults(w, rows) }); err != nil {
				return err
			}
			return bad
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().StringVarP(&folder, "write", "w", "", "folder to write the evidence to, a file each, with memberships")
	return c
}

// faultsOf is what the nodes keep, once however many keep it, in order of seqs;
// bad names nodes that said what does not hold.
func faultsOf(machine string, all []admin.Node) (rows []fault, bad error) {
	rows = []fault{}
	known := make(map[string]int)
	for _, n := range all {
		for i := range n.Machine {
			for _, data := range n.Machine[i].Evidence {
				var k audit.Kept
				err := audit.KeptFormat.Decode(data, &k)
				var f audit.Fault
				if err == nil {
					f, err = k.Open()
				}
				if err == nil && (f.Machine != machine || strings.Trim(string(f.Replica), nameLetters) != "") {
					err = fmt.Errorf("it is about replica %q of machine %q", f.Replica, f.Machine)
				}
				if err != nil {
					bad = errors.Join(bad, fmt.Errorf("node %s gives evidence that shows nothing: %w", n.Name, err))
					continue
				}
				row := faultOf(f)
				row.kept, row.Members, row.Found = k, uint64(k.Members.Seq), time.Unix(0, k.Found).UTC()
				at, there := known[row.name()]
				if !there {
					at = len(rows)
					known[row.name()] = at
					rows = append(rows, row)
				}
				if row.Found.Before(rows[at].Found) {
					rows[at].Found = row.Found
				}
				rows[at].KeptBy = append(rows[at].KeptBy, string(n.Name))
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b fault) int {
		if a.Epoch != b.Epoch {
			return int(min(max(int64(a.Epoch)-int64(b.Epoch), -1), 1))
		}
		return int(min(max(int64(a.Seq)-int64(b.Seq), -1), 1))
	})
	return rows, bad
}

// nameLetters are those of which a replica's name consists, which is that of a file.
const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_"

func (f fault) name() string { return fmt.Sprintf("%s.%s.%d.%d", f.Replica, f.Kind, f.Epoch, f.Seq) }

// writeEvidence writes a file for each fault and for each membership.
func writeEvidence(folder string, rows []fault) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write evidence: %w", err)
	}
	for i := range rows {
		f := &rows[i]
		f.File = filepath.Join(folder, f.name()+".evidence")
		if err := files.Write(f.File, f.kept.Evidence); err != nil {
			return err
		}
		if err := files.Write(filepath.Join(folder, fmt.Sprintf("members.%d", f.Members)), host.MembersFormat.Encode(f.kept.Members)); err != nil {
			return err
		}
	}
	return nil
}

func showFaults(to io.Writer, rows []fault) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(to, "no evidence: no node has seen a replica sign what cannot be true")
		return err
	}
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "REPLICA\tKIND\tEPOCH\tSEQ\tFOUND\tKEPT BY")
	for _, f := range rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\n", f.Replica, f.Kind, f.Epoch, f.Seq, f.Found.Format(time.RFC3339), strings.Join(f.KeptBy, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range rows {
		if _, err := fmt.Fprintf(to, "\n%s at epoch %d, seq %d: %s\n", f.Replica, f.Epoch, f.Seq, f.text()); err != nil {
			return err
		}
		if f.File != "" {
			if _, err := fmt.Fprintf(to, "  lockstep verify %s --members %s\n", f.File, filepath.Join(filepath.Dir(f.File), fmt.Sprintf("members.%d", f.Members))); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyEvidence checks evidence by a membership.
func (r *remote) verifyEvidence(c *cobra.Command, data []byte, members audit.Members) error {
	e, err := audit.DecodeEvidence(data)
	if err != nil {
		return err
	}
	shown, err := e.Verify(members)
	if err != nil {
		return err
	}
	f := faultOf(shown)
	v := struct {
		Machine string `json:"machine"`
		Replica string `json:"replica"`
		Kind    string `json:"kind"`
		Epoch   uint64 `json:"epoch"`
		Seq     uint64 `json:"seq"`
		Stated  string `json:"stated"`
		Against string `json:"against"`
		By      string `json:"by,omitempty"`
	}{shown.Machine, f.Replica, f.Kind, f.Epoch, f.Seq, f.Stated, f.Against, f.By}
	return r.show(c, v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "valid: replica %s of %s was at fault at epoch %d, seq %d: %s\n", v.Replica, v.Machine, v.Epoch, v.Seq, f.text())
		return err
	})
}
