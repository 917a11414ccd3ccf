package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/nodes"
	"lockstep/cmd/lockstep/screen"
	"lockstep/ordering"
)

// topRow is one replica, as top shows it.
type topRow struct {
	Machine ordering.Name `json:"machine"`
	replicaStatus
	PerSecond float64 `json:"entries_per_second"`
	Differs   bool    `json:"differs"` // another replica at the same seq has another chain
}

func topCommand(r *remote) *cobra.Command {
	var every time.Duration
	var once bool
	c := &cobra.Command{
		Use:   "top [MACHINE]...",
		Short: "Show replicas at work, again and again, until q or ctrl-C",
		Long: `Shows every replica of the machines named, or of all: where it stands, how many entries
it applies in a second, and what is wrong. With --once, and where the output is no
terminal, it looks twice, --every apart, prints that and ends.`,
		Example: `  lockstep top
  lockstep top kv --every 5s
  lockstep top --once --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if every < 100*time.Millisecond {
				return usage("--every is %v, want at least 100ms", every)
			}
			ctx, cancel := r.within(c)
			conn, err := r.connect(ctx)
			cancel()
			if err != nil {
				return err
			}
			defer conn.Close()
			top := &top{r: r, conn: conn, every: every, last: make(map[topKey]topSeen)}
			for _, name := range args {
				top.only = append(top.only, ordering.Name(name))
			}
			if once || r.asJSON || !isTerminal(c.OutOrStdout()) {
				return top.once(c)
			}
			return screen.Live(c.Context(), os.Stdin, os.Stdout, top.every, top.lines)
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().DurationVar(&every, "every", time.Second, "time between two looks")
	c.Flags().BoolVar(&once, "once", false, "print once and end")
	return c
}

// top remembers the last look, to tell rates.
type top struct {
	r     *remote
	conn  *nats.Conn
	only  []ordering.Name
	every time.Duration
	last  map[topKey]topSeen
}

type topKey struct {
	machine ordering.Name
	node    audit.ReplicaID
}

type topSeen struct {
	seq uint64
	at  time.Time
}

func (t *top) once(c *cobra.Command) error {
	if _, err := t.look(c.Context()); err != nil {
		return err
	}
	select {
	case <-c.Context().Done():
		return c.Context().Err()
	case <-time.After(t.every):
	}
	rows, err := t.look(c.Context())
	if err != nil {
		return err
	}
	return t.r.show(c, rows, func(w io.Writer) error { return writeTop(w, rows) })
}

// lines are what the live view shows now. A look that fails is told and tried again.
func (t *top) lines(ctx context.Context) []string {
	rows, err := t.look(ctx)
	return topLines(time.Now(), first(t.conn.ConnectedUrlRedacted(), "no server"), rows, err)
}

// topLines is a look as lines of a screen.
func topLines(now time.Time, server string, rows []topRow, err error) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "lockstep top - %s - %s - q quits\n\n", now.Format(time.TimeOnly), server)
	if err != nil {
		b.WriteString(explain(err))
	} else {
		_ = writeTop(&b, rows) // a builder takes all
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// look asks the nodes about the machines.
func (t *top) look(ctx context.Context) ([]topRow, error) {
	ctx, cancel := context.WithTimeout(ctx, t.r.timeout)
	defer cancel()
	all, err := nodes.List(ctx, t.conn, "")
	if err != nil {
		return nil, err
	}
	names := machines(all)
	for _, name := range t.only {
		if !slices.Contains(names, name) {
			return nil, unhosted(name, all)
		}
	}
	if len(t.only) > 0 {
		names = t.only
	}
	rows := []topRow{}
	hosted, err := hostedBy(ctx, t.conn, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		rows = append(rows, t.rows(name, replicaRows(hosted[name]), time.Now())...)
	}
	return rows, nil
}

// rows makes rows of a machine's replicas, and remembers them for the next look.
func (t *top) rows(machine ordering.Name, replicas []replicaStatus, now time.Time) []topRow {
	chains := make(map[uint64]string)
	differ := make(map[uint64]bool)
	for _, s := range replicas {
		if s.Phase == silent {
			continue
		}
		if have, ok := chains[s.Seq]; ok && have != s.Chain {
			differ[s.Seq] = true
		}
		chains[s.Seq] = s.Chain
	}
	rows := make([]topRow, 0, len(replicas))
	for _, s := range replicas {
		row := topRow{Machine: machine, replicaStatus: s, Differs: differ[s.Seq]}
		if s.Phase == silent {
			row.Differs = false
			rows = append(rows, row)
			continue
		}
		key := topKey{machine, s.Node}
		if seen, ok := t.last[key]; ok && s.Seq >= seen.seq {
			row.PerSecond = float64(s.Seq-seen.seq) / now.Sub(seen.at).Seconds()
		}
		t.last[key] = topSeen{s.Seq, now}
		rows = append(rows, row)
	}
	return rows
}

// writeTop writes a table of replicas, and below it what is wrong with them.
func writeTop(w io.Writer, rows []topRow) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "MACHINE\tNODE\tPHASE\tSEQ\tENTRIES/S\tLAG\tCHAIN\tCHECKPOINT\tMEMORY\tLOG")
	var wrong strings.Builder
	for _, r := range rows {
		if r.Phase == silent {
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t-\t-\t-\t-\t-\t-\t-\n", r.Machine, r.Node, r.Phase)
			continue
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.1f\t%d\t%.12s\t%d\t%s\t%s\n", r.Machine, r.Node, r.Phase, r.Seq, r.PerSecond, r.Lag, r.Chain,
			r.Stored, bytesText(r.Memory), bytesText(r.LogBytes))
		if r.Differs {
			fmt.Fprintf(&wrong, "%s on %s: another replica has another chain at seq %d\n", r.Machine, r.Node, r.Seq)
		}
		for _, what := range r.wrongs() {
			fmt.Fprintf(&wrong, "%s on %s: %s\n", r.Machine, r.Node, what)
		}
	}
	if len(rows) == 0 {
		_, _ = fmt.Fprintln(t, "no machine is deployed")
	}
	if err := t.Flush(); err != nil || wrong.Len() == 0 {
		return err
	}
	_, err := io.WriteString(w, "\n"+wrong.String())
	return err
}
