package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/client/contexts"
	"lockstep/client/nodes"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/doctor"
)

// finding is a row of what the doctor finds, as JSON has it.
type finding struct {
	Setting string `json:"setting"`
	Is      string `json:"is"`
	Want    string `json:"want"`
	Risk    string `json:"risk"`
	Fatal   bool   `json:"fatal"`
}

func doctorCommand(r *remote) *cobra.Command {
	system := ""
	c := &cobra.Command{
		Use:   "doctor MACHINE",
		Short: "Say what the settings under which a machine's log is kept can lose",
		Long: `Reads the settings of a machine's log, of the account and of the servers that keep it,
and says in words what each unsafe one can lose. Lines that begin with ! are of
settings under which no replica opens the log.

Servers tell what they run with to nodes that they are embedded in, or to a login to
their system account: see --system-nkey.

Exits with 0 if nothing is found, and with 1 if something is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := r.within(c)
			defer cancel()
			found, err := r.diagnose(ctx, ordering.Name(args[0]), system)
			if err != nil {
				return err
			}
			if err := r.show(c, found, func(w io.Writer) error { return writeFindings(w, found) }); err != nil {
				return err
			}
			if len(found) > 0 {
				return fmt.Errorf("%d settings of %s are not as they should be", len(found), args[0])
			}
			return nil
		},
	}
	systemFlag(c, &system)
	return c
}

func systemFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "system-nkey", "", "file with the seed of an nkey in the servers' system account, as 'lockstep init' writes system.nk")
}

// systemConn connects to the servers' system account, if there is a key for that; nil if not.
func (r *remote) systemConn(path string) (*nats.Conn, error) {
	if path == "" {
		return nil, nil
	}
	c, err := r.where()
	if err != nil {
		return nil, err
	}
	c.Nkey, c.Creds = path, ""
	conn, err := c.Connect(connName)
	if errors.Is(err, contexts.ErrLogin) {
		return nil, usage("system account: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("system account: %w: %w", err, errUnreachable)
	}
	if _, err := conn.Request("$SYS.REQ.SERVER.PING", nil, systemWait); err != nil {
		conn.Close()
		return nil, usage("%s is no key of the servers' system account, or no server answers there (%w): 'lockstep init' writes it to system.nk", path, err)
	}
	return conn, nil
}

// systemWait is how long a server may take to answer its system account.
const systemWait = 5 * time.Second

func (r *remote) diagnose(ctx context.Context, machine ordering.Name, systemKey string) ([]finding, error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	system, err := r.systemConn(systemKey)
	if err != nil {
		return nil, err
	}
	if system != nil {
		defer system.Close()
	}
	epoch, err := epochOf(ctx, conn, machine)
	if err != nil {
		return nil, err
	}
	settings, err := doctor.Read(ctx, conn, system, jetstream.Ref{Machine: machine, Epoch: epoch})
	if errors.Is(err, ordering.ErrNotFound) {
		return nil, fmt.Errorf("machine %s has no log here: 'lockstep status' lists the machines there are: %w", machine, errUnreachable)
	}
	if err != nil {
		return nil, err
	}
	list := []finding{}
	for _, f := range doctor.Diagnose(settings) {
		list = append(list, finding{f.Setting, f.Is, f.Want, f.Risk, f.Fatal})
	}
	return list, nil
}

// epochOf is the newest epoch that a voter is in, or the first: the machine may have no replica that answers.
func epochOf(ctx context.Context, conn *nats.Conn, machine ordering.Name) (ordering.Epoch, error) {
	epoch := ordering.Epoch(1)
	all, err := nodes.List(ctx, conn, machine)
	if errors.As(err, new(*client.PermissionError)) {
		return 0, err // whoever may not ask nodes may not ask servers either
	}
	if err != nil {
		return epoch, nil
	}
	for _, n := range all {
		for _, m := range n.Machine {
			if m.Info.Phase == host.PhaseVoting {
				epoch = max(epoch, m.Info.Epoch)
			}
		}
	}
	return epoch, nil
}

func writeFindings(w io.Writer, list []finding) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "nothing found")
		return err
	}
	for _, f := range list {
		sign := "-"
		if f.Fatal {
			sign = "!"
		}
		if _, err := fmt.Fprintf(w, "%s %s is %s, want %s\n  %s\n", sign, f.Setting, f.Is, f.Want, f.Risk); err != nil {
			return err
		}
	}
	return nil
}
