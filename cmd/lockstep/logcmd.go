package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/nodes"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// logEntry is one entry of a log, as it is shown.
type logEntry struct {
	Seq    uint64 `json:"seq"`
	Time   string `json:"time"`
	Kind   string `json:"kind"`
	Client string `json:"client,omitempty"`
	Inputs int    `json:"inputs,omitempty"`
	Bytes  int    `json:"bytes"`
	// Says is what the opening of an epoch proves.
	Says string `json:"says,omitempty"`
}

func logCommand(r *remote) *cobra.Command {
	var from uint64
	var count int
	var follow bool
	c := &cobra.Command{
		Use:   "log MACHINE",
		Short: "Print the entries of a machine's log",
		Long: `Prints the log as its servers have it: position, ordered time, what it asks, of which
client. It takes an operator's key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if count < 1 {
				return usage("--count is %d, want 1 or more", count)
			}
			ctx, cancel := r.within(c)
			defer cancel()
			conn, err := r.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			all, err := nodes.List(ctx, conn, ordering.Name(args[0]))
			if err != nil {
				return err
			}
			rows := replicaRows(all)
			if len(rows) == 0 {
				return unhosted(ordering.Name(args[0]), all)
			}
			var epoch ordering.Epoch = 1
			for _, row := range rows {
				epoch = max(epoch, ordering.Epoch(row.Epoch))
			}
			log, err := jetstream.Open(ctx, conn, jetstream.Ref{Machine: ordering.Name(args[0]), Epoch: epoch}, jetstream.Options{})
			if err != nil {
				return err
			}
			defer func() { _ = log.Close() }() // only read
			state, err := log.State(ctx)
			if err != nil {
				return err
			}
			first := max(ordering.Seq(from), state.First)
			if from == 0 && state.Last >= ordering.Seq(count) {
				first = max(first, state.Last+1-ordering.Seq(count))
			}
			last := state.Last
			if first > last && from != 0 && !follow {
				return fmt.Errorf("the log of %s ends at seq %d: --follow waits for more", args[0], last)
			}
			if follow {
				ctx, last = c.Context(), 1<<62
			}
			return r.writeLog(ctx, c.OutOrStdout(), log, first, last, count)
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().Uint64Var(&from, "from", 0, "seq of the first entry (0: the last ones)")
	c.Flags().IntVarP(&count, "count", "n", 20, "number of entries")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with entries as they are ordered")
	return c
}

// writeLog prints entries from first to last, at most count unless last is open.
func (r *remote) writeLog(ctx context.Context, w io.Writer, log ordering.Log, first, last ordering.Seq, count int) error {
	for n := 0; first <= last; {
		entries, err := log.Read(ctx, first)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Seq > last || last < 1<<62 && n == count {
				return nil
			}
			if err := r.writeEntry(w, describeEntry(e)); err != nil {
				return err
			}
			first, n = e.Seq+1, n+1
		}
	}
	return nil
}

func (r *remote) writeEntry(w io.Writer, e logEntry) error {
	if r.asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	what := e.Kind
	if e.Inputs > 0 {
		what = fmt.Sprintf("%d inputs", e.Inputs)
	}
	_, err := fmt.Fprintf(w, "%8d  %s  %-12s  %7d B  %s\n", e.Seq, e.Time, what, e.Bytes, first(e.Says, fmt.Sprintf("%.16s", e.Client)))
	return err
}

// describeEntry says what an entry asks, without its payloads.
func describeEntry(e ordering.Entry) logEntry {
	row := logEntry{Seq: uint64(e.Seq), Time: time.Unix(0, int64(e.Time)).UTC().Format("2006-01-02T15:04:05.000000Z"), Kind: "nothing", Bytes: len(e.Data)}
	switch {
	case host.BatchFormat.Match(e.Data):
		if b, err := host.DecodeBatch(e.Data); err == nil {
			row.Kind, row.Inputs, row.Client = "inputs", len(b.Inputs), b.Session.Client.String()
		}
	case host.ControlFormat.Match(e.Data):
		if c, err := host.DecodeControl(e.Data); err == nil {
			row.Kind, row.Client = c.Kind.String(), c.Session.Client.String()
		}
	case epochs.OpeningFormat.Match(e.Data):
		var o epochs.Opening
		if epochs.OpeningFormat.Decode(e.Data, &o) == nil {
			row.Kind, row.Says = "opening", describeOpening(&o)
		}
	}
	return row
}

// describeOpening says what an epoch begins on.
func describeOpening(o *epochs.Opening) string {
	if len(o.Recovery) == 1 {
		return recoveryOf(&o.Recovery[0]).String()
	}
	var by []audit.ReplicaID
	for i := range o.Stands {
		by = append(by, o.Stands[i].Replica)
	}
	return fmt.Sprintf("epoch %d began after seq %d, by statements of %s", o.Epoch, o.Base.Seq, join(by))
}
