package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lockstep/client/contexts"
)

func contextCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "context",
		Short: "Keep the ways to reach clusters, by name",
		Long: `A context is a cluster's URL and the key to connect with. The selected one is used
by every command that reaches a cluster, unless --context, --server or their
environment variables name another.`,
	}
	c.AddCommand(contextAdd(r), contextSelect(r), contextList(r), contextShow(r), contextRemove(r))
	return c
}

func contextAdd(r *remote) *cobra.Command {
	var k contexts.Context
	var use bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a context, or change it, from --server, --nkey or --creds, --ca, --cert and --key",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			k.Name, k.URL = args[0], r.server
			for _, f := range []struct{ to, from *string }{{&k.Nkey, &r.nkey}, {&k.Creds, &r.creds}, {&k.CA, &r.ca}, {&k.Cert, &r.cert}, {&k.Key, &r.key}} {
				if *f.from == "" {
					continue
				}
				if *f.to, err = filepath.Abs(*f.from); err != nil {
					return fmt.Errorf("find %s: %w", *f.from, err)
				}
			}
			if err := store.Save(k); err != nil {
				return err
			}
			if use {
				err = store.Select(k.Name)
			}
			if err != nil {
				return err
			}
			return r.show(c, contextRow{k, k.Name, k.Name == store.Selected()}, silently)
		},
	}
	c.Flags().StringVar(&k.Description, "description", "", "what it is")
	c.Flags().BoolVar(&use, "select", false, "select it")
	return c
}

// contextRow is a context as JSON has it.
type contextRow struct {
	contexts.Context
	Name     string `json:"name"`
	Selected bool   `json:"selected"`
}

// silently is the text of a command that has nothing to tell but in JSON.
func silently(io.Writer) error { return nil }

func contextSelect(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "select NAME",
		Short:             "Use a context from now on",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			if err := known(store.Select(args[0])); err != nil {
				return err
			}
			return r.show(c, map[string]string{"selected": args[0]}, silently)
		},
	}
}

// known says where the names are, if one is not.
func known(err error) error {
	if errors.Is(err, contexts.ErrUnknown) {
		return fmt.Errorf("%w: 'lockstep context ls' lists them", err)
	}
	return err
}

func contextList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the contexts; * is the selected one",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			names, err := store.List()
			if err != nil {
				return err
			}
			rows := make([]contextRow, 0, len(names))
			for _, name := range names {
				k, err := store.Load(name)
				if err != nil {
					return err
				}
				rows = append(rows, contextRow{k, name, name == store.Selected()})
			}
			return r.show(c, rows, func(w io.Writer) error {
				if len(rows) == 0 {
					_, err := fmt.Fprintln(w, "no contexts; 'lockstep context add NAME --server URL' makes one")
					return err
				}
				t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
				for _, k := range rows {
					mark := " "
					if k.Selected {
						mark = "*"
					}
					_, _ = fmt.Fprintf(t, "%s %s\t%s\t%s\n", mark, k.Name, first(k.URL, contexts.DefaultURL), k.Description)
				}
				return t.Flush()
			})
		},
	}
}

func contextShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show a context, or what a command would connect to now",
		Long: `Shows the context of a name as it was made. Without a name it shows what flags,
environment variables and the selected context add up to.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			var k contexts.Context
			if len(args) > 0 {
				k, err = store.Load(args[0])
			} else {
				k, err = r.where()
			}
			if err != nil {
				return known(err)
			}
			k.URL = first(k.URL, contexts.DefaultURL)
			row := contextRow{k, k.Name, k.Name != "" && k.Name == store.Selected()}
			return r.show(c, row, func(w io.Writer) error { return writeContext(w, k) })
		},
	}
}

func writeContext(w io.Writer, k contexts.Context) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, line := range []struct {
		what, is string
		always   bool
	}{
		{"context", k.Name, true}, {"description", k.Description, false}, {"server", k.URL, true}, {"nkey", k.Nkey, true}, {"creds", k.Creds, true},
		{"ca", k.CA, false}, {"cert", k.Cert, false}, {"key", k.Key, false},
	} {
		if line.always || line.is != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", line.what, first(line.is, "-"))
		}
	}
	return t.Flush()
}

func contextRemove(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "rm NAME",
		Short:             "Remove a context",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			if err := known(store.Remove(args[0])); err != nil {
				return err
			}
			return r.show(c, map[string]string{"removed": args[0]}, silently)
		},
	}
}

func completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	store, err := contexts.Default()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := store.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
