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
	c.AddCommand(contextAdd(r), contextSelect(r), contextList(r), contextShow(r), contextRemove())
	return c
}

func contextAdd(r *remote) *cobra.Command {
	var k contexts.Context
	var use bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a context, or change it, from --server, --nkey and --creds",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			k.Name, k.URL = args[0], r.server
			for _, f := range []struct{ to, from *string }{{&k.Nkey, &r.nkey}, {&k.Creds, &r.creds}, {&k.CA, &k.CA}, {&k.Cert, &k.Cert}, {&k.Key, &k.Key}} {
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
				return store.Select(k.Name)
			}
			return nil
		},
	}
	c.Flags().StringVar(&k.Description, "description", "", "what it is")
	c.Flags().StringVar(&k.CA, "ca", "", "file with the certificates to trust, PEM")
	c.Flags().StringVar(&k.Cert, "cert", "", "file with the certificate to show, PEM")
	c.Flags().StringVar(&k.Key, "key", "", "file with its key, PEM")
	c.Flags().BoolVar(&use, "select", false, "select it")
	return c
}

func contextSelect(_ *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "select NAME",
		Short:             "Use a context from now on",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			return known(store.Select(args[0]))
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
	type row struct {
		contexts.Context
		Name     string `json:"name"`
		Selected bool   `json:"selected"`
	}
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
			rows := make([]row, 0, len(names))
			for _, name := range names {
				k, err := store.Load(name)
				if err != nil {
					return err
				}
				rows = append(rows, row{k, name, name == store.Selected()})
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
		Use:   "show",
		Short: "Show what a command would connect to",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := r.where()
			if err != nil {
				return err
			}
			k.URL = first(k.URL, contexts.DefaultURL)
			return r.show(c, k, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "context  %s\nserver   %s\nnkey     %s\ncreds    %s\n", first(k.Name, "-"), k.URL, first(k.Nkey, "-"), first(k.Creds, "-"))
				return err
			})
		},
	}
}

func contextRemove() *cobra.Command {
	return &cobra.Command{
		Use:               "rm NAME",
		Short:             "Remove a context",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := contexts.Default()
			if err != nil {
				return err
			}
			return known(store.Remove(args[0]))
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
