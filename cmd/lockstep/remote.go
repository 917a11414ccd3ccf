package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/client"
	"lockstep/client/contexts"
	"lockstep/client/nodes"
	"lockstep/host/admin"
	"lockstep/ordering"
)

type flag = pflag.Flag

// remote is how commands reach a cluster, and how they show what it says.
type remote struct {
	context, server, nkey, creds, ca, cert, key string
	asJSON                                      bool
	timeout                                     time.Duration
}

// defaultTimeout is how long a command waits for a cluster.
const defaultTimeout = 30 * time.Second

func (r *remote) flags(set *pflag.FlagSet) {
	set.StringVar(&r.context, "context", "", "context to use instead of the selected one [LOCKSTEP_CONTEXT]")
	set.StringVarP(&r.server, "server", "s", "", "URLs of NATS servers, with commas [LOCKSTEP_URL]")
	set.StringVar(&r.nkey, "nkey", "", "file with the seed of the nkey to connect with [LOCKSTEP_NKEY]")
	set.StringVar(&r.creds, "creds", "", "credentials file to connect with [LOCKSTEP_CREDS]")
	set.StringVar(&r.ca, "ca", "", "file with the certificates to trust, PEM [LOCKSTEP_CA]")
	set.StringVar(&r.cert, "cert", "", "file with the certificate to show, PEM [LOCKSTEP_CERT]")
	set.StringVar(&r.key, "key", "", "file with its key, PEM [LOCKSTEP_KEY]")
	set.BoolVar(&r.asJSON, "json", false, "print JSON")
	set.DurationVar(&r.timeout, "timeout", defaultTimeout, "how long to wait for the cluster")
}

// where is the context that flags, environment and selection add up to.
func (r *remote) where() (contexts.Context, error) {
	var c contexts.Context
	name := first(r.context, os.Getenv("LOCKSTEP_CONTEXT"))
	url := first(r.server, os.Getenv("LOCKSTEP_URL"))
	store, err := contexts.Default()
	if err == nil && name == "" && url == "" {
		name = store.Selected()
	}
	if name != "" {
		if err != nil {
			return c, err
		}
		if c, err = store.Load(name); err != nil {
			return c, fmt.Errorf("%w: 'lockstep context ls' lists them, 'lockstep context add' makes one", err)
		}
	}
	c.URL = first(url, c.URL)
	// Who is named here is instead of whom the context names.
	nkey, creds := first(r.nkey, os.Getenv("LOCKSTEP_NKEY")), first(r.creds, os.Getenv("LOCKSTEP_CREDS"))
	if nkey != "" && creds != "" {
		return c, usage("--nkey and --creds both say who you are: name one")
	}
	if nkey+creds != "" {
		c.Nkey, c.Creds = nkey, creds
	}
	c.CA = first(r.ca, os.Getenv("LOCKSTEP_CA"), c.CA)
	if cert := first(r.cert, os.Getenv("LOCKSTEP_CERT")); cert != "" {
		c.Cert, c.Key = cert, first(r.key, os.Getenv("LOCKSTEP_KEY"))
	}
	return c, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Nodes that were started a moment ago are waited for, with a word about it.
const (
	startup      = 5 * time.Second
	startupQuiet = 500 * time.Millisecond
	startupPause = 50 * time.Millisecond
)

// connName is what the servers call the connections of commands.
const connName = "lockstep command"

// connect connects to the cluster.
func (r *remote) connect(ctx context.Context) (*nats.Conn, error) {
	c, err := r.where()
	if err != nil {
		return nil, err
	}
	var conn *nats.Conn
	err = r.starting(ctx, "waiting for a server at "+first(c.URL, contexts.DefaultURL), func() (again bool, err error) {
		conn, err = c.Connect(connName)
		return errors.Is(err, nats.ErrNoServers), err
	})
	switch {
	case errors.Is(err, contexts.ErrLogin):
		return nil, usage("%w", err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, errUnreachable)
	}
	return conn, nil
}

// list asks the nodes about a machine, "" for none, until as many as there should
// be have answered, or the others take too long.
func (r *remote) list(ctx context.Context, conn *nats.Conn, machine ordering.Name, want int) (all []admin.Node, err error) {
	err = r.starting(ctx, "waiting for the nodes", func() (again bool, err error) {
		all, err = nodes.List(ctx, conn, machine)
		return errors.Is(err, nodes.ErrNone) || err == nil && len(all) < want, err
	})
	return all, err
}

// starting tries again what nodes that are being started cannot do yet.
func (r *remote) starting(ctx context.Context, waiting string, try func() (again bool, err error)) error {
	began, said := time.Now(), false
	for {
		again, err := try()
		if !again || time.Since(began) > startup || ctx.Err() != nil {
			return err
		}
		if !said && time.Since(began) > startupQuiet {
			said = true
			fmt.Fprintln(os.Stderr, waiting)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(startupPause):
		}
	}
}

// session opens a client of a machine. done closes it and its connection.
func (r *remote) session(ctx context.Context, machine string) (cl *client.Client, done func(), err error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = r.starting(ctx, "waiting for the nodes", func() (again bool, err error) {
		cl, err = client.Connect(ctx, client.Options{Machine: machine, Conn: conn})
		return errors.Is(err, client.ErrUnknownMachine) && r.hidden(ctx, conn, machine), err
	})
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("machine %s: %w", machine, err)
	}
	return cl, func() { _ = cl.Close(); conn.Close() }, nil // nothing is under way any more
}

// hidden reports whether a machine that could not be found may be there all the same, behind
// a server that has not found the others yet.
func (r *remote) hidden(ctx context.Context, conn *nats.Conn, machine string) bool {
	all, err := nodes.List(ctx, conn, "")
	return errors.Is(err, nodes.ErrNone) || slices.Contains(machines(all), ordering.Name(machine))
}

// within bounds what a command waits for.
func (r *remote) within(c *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), r.timeout)
}

// progress is where to show how far long work is.
func (r *remote) progress(c *cobra.Command) io.Writer {
	if r.asJSON {
		return io.Discard
	}
	return c.ErrOrStderr()
}

// show prints v as JSON, or what text writes.
func (r *remote) show(c *cobra.Command, v any, text func(io.Writer) error) error {
	if !r.asJSON {
		return text(c.OutOrStdout())
	}
	return printJSON(c.OutOrStdout(), v)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	return nil
}

// usage is a mistake in the command line.
func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errUsage)
}
