package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/dev"
	"lockstep/cmd/lockstep/project"
	"lockstep/host/engine"
	"lockstep/ordering"
)

func devCommand() *cobra.Command {
	var o dev.Options
	var name, kind string
	var verbose bool
	var bound *bounds
	c := &cobra.Command{
		Use:   "dev GUEST.wasm|DIR",
		Short: "Run a guest on three replicas in this process, and try it while you write it",
		Long: `Builds the guest if a folder with a guest.toml is named, deploys it on three nodes in
this process, and calls it with each line that is typed. With --watch, a changed source
is built and swapped by an ordered upgrade: the guest's save and load keep its state.

At the prompt, a line is an input; hex:0102 and json:["add", 1] are bytes, ? INPUT is a
query, help lists the rest. Other terminals reach the machine at the server that is
printed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Project, err = project.Open(args[0]); err != nil {
				return err
			}
			if name == "" {
				name = machineName(args[0])
			}
			o.Machine = ordering.Name(name)
			if err := o.Machine.Validate(); err != nil {
				return usage("%w: name it with --machine", err)
			}
			if err := bound.take(); err != nil {
				return err
			}
			o.In, o.Out, o.Version = c.InOrStdin(), c.OutOrStdout(), version()
			o.Prompt = isTerminal(os.Stdin) && isTerminal(os.Stdout)
			o.Color = isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == ""
			o.Logger = devLogger(verbose, o.Color)
			kinds, err := engines(kind)
			if err != nil {
				return err
			}
			o.Engines, err = guestEngines(kinds, c.ErrOrStderr())
			defer closeEngines(o.Engines)
			if err != nil {
				return err
			}
			return dev.Run(c.Context(), o)
		},
	}
	bound = boundFlags(c.Flags(), &o.Config)
	c.Flags().StringVar(&name, "machine", "", "name of the machine (default: that of the file or folder)")
	c.Flags().StringVar(&kind, "engine", engine.Auto.String(), engineFlag+": then replicas take turns, and audit each other")
	c.Flags().StringVar(&o.Dir, "data", "", "keep the data here instead of in a temporary folder that is removed")
	c.Flags().BoolVarP(&o.Watch, "watch", "w", false, "build and upgrade when the source changes")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print what nodes and servers log too")
	return c
}

// machineName makes a machine's name of a path's last element.
func machineName(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	base := strings.ToLower(strings.TrimSuffix(filepath.Base(abs), ".wasm"))
	base = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, base)
	return strings.Trim(base[:min(len(base), 32)], "-")
}

// devLogger shows what the guest says, once and not for each replica, and all
// else if it is bad or asked for.
func devLogger(verbose, color bool) *slog.Logger {
	h := tint.NewTextHandler(os.Stderr, &tint.Options{Level: slog.LevelInfo, TimeFormat: "15:04:05.000", NoColor: !color})
	return slog.New(&guestOnly{Handler: h, verbose: verbose})
}

// guestOnly drops lines that a guest's author did not ask for.
type guestOnly struct {
	slog.Handler
	verbose bool
	other   bool // of a node that is not the first
	// server is set for lines of a NATS server: one that cannot start is an error of
	// its own, and ones that stop report each other's broken connections.
	server bool
}

// Handle is slog.Handler's.
func (g *guestOnly) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Message == "guest" && g.other:
		return nil
	case r.Message != "guest" && !g.verbose && (g.server || r.Level < slog.LevelError):
		return nil
	}
	return g.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (g *guestOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *g
	next.Handler = g.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		next.other = next.other || a.Key == "node" && a.Value.String() != "n1"
		next.server = next.server || a.Key == "server"
	}
	return &next
}

// WithGroup is slog.Handler's.
func (g *guestOnly) WithGroup(name string) slog.Handler {
	next := *g
	next.Handler = g.Handler.WithGroup(name)
	return &next
}
