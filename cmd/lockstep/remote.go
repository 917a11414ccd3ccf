package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/client"
	"lockstep/client/contexts"
)

type flag = pflag.Flag

// remote is how commands reach a cluster, and how they show what it says.
type remote struct {
	context, server, nkey, creds string
	asJSON                       bool
	timeout                      time.Duration
}

// defaultTimeout is how long a command waits for a cluster.
const defaultTimeout = 30 * time.Second

func (r *remote) flags(fs *pflag.FlagSet) {
	fs.StringVar(&r.context, "context", "", "context to use instead of the selected one [LOCKSTEP_CONTEXT]")
	fs.StringVarP(&r.server, "server", "s", "", "URLs of NATS servers, with commas [LOCKSTEP_URL]")
	fs.StringVar(&r.nkey, "nkey", "", "file with the seed of the nkey to connect with [LOCKSTEP_NKEY]")
	fs.StringVar(&r.creds, "creds", "", "credentials file to connect with [LOCKSTEP_CREDS]")
	fs.BoolVar(&r.asJSON, "json", false, "print JSON")
	fs.DurationVar(&r.timeout, "timeout", defaultTimeout, "how long to wait for the cluster")
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
	c.Nkey = first(r.nkey, os.Getenv("LOCKSTEP_NKEY"), c.Nkey)
	c.Creds = first(r.creds, os.Getenv("LOCKSTEP_CREDS"), c.Creds)
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

// connect connects to the cluster.
func (r *remote) connect() (*nats.Conn, error) {
	c, err := r.where()
	if err != nil {
		return nil, err
	}
	conn, err := c.Connect("lockstep command")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errUnreachable)
	}
	return conn, nil
}

// session opens a client of a machine. done closes it and its connection.
func (r *remote) session(ctx context.Context, machine string) (cl *client.Client, done func(), err error) {
	conn, err := r.connect()
	if err != nil {
		return nil, nil, err
	}
	cl, err = client.Connect(ctx, client.Options{Machine: machine, Conn: conn})
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("machine %s: %w", machine, err)
	}
	return cl, func() { _ = cl.Close(); conn.Close() }, nil // nothing is under way any more
}

// within bounds what a command waits for.
func (r *remote) within(c *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), r.timeout)
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
