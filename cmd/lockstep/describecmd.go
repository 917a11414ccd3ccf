package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/client/nodes"
	"lockstep/cmd/lockstep/project"
	"lockstep/guests/description"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot/transfer"
	"lockstep/wasmabi"
)

func describeCommand(r *remote) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "describe GUEST.wasm|MACHINE",
		Short: "Say what a guest takes and answers, as it describes itself",
		Long: `Shows the interface description of a module (a custom section, see the guest
contract): the requests that it takes, what they answer, what it emits, and what its
codes of rejection mean. A name that is no file is a machine's: its guest is then
fetched from a replica, which takes an operator's key.

With --write the description in a file is put into the module. 'lockstep build' does so
where guest.toml names one.`,
		Example: `  lockstep describe bank.wasm
  lockstep describe bank.wasm --write interface.json
  lockstep describe bank --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				if err := project.Describe(args[0], file); err != nil {
					return err
				}
			}
			wasm, err := r.moduleOf(c, args[0])
			if err != nil {
				return err
			}
			in, err := description.Read(wasm)
			if errors.Is(err, description.ErrNone) {
				return fmt.Errorf("%s: %w: its author puts one in with 'lockstep describe GUEST.wasm --write INTERFACE.json'", args[0], err)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return r.show(c, in, func(w io.Writer) error { return writeInterface(w, in) })
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			names, _ := r.completeMachines(c, args, word)
			return names, cobra.ShellCompDirectiveDefault // and files
		},
	}
	c.Flags().StringVar(&file, "write", "", "file with the description to put into the module, JSON")
	return c
}

// moduleOf is the module of a file, or the guest of a machine.
func (r *remote) moduleOf(c *cobra.Command, name string) ([]byte, error) {
	_, err := os.Stat(name)
	machine := ordering.Name(name)
	if err == nil || strings.HasSuffix(name, ".wasm") || machine.Validate() != nil {
		return readModule(name)
	}
	ctx, cancel := r.within(c)
	defer cancel()
	return r.guestOf(ctx, machine)
}

// guestOf fetches the module that a machine's replicas run now.
func (r *remote) guestOf(ctx context.Context, machine ordering.Name) ([]byte, error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	all, err := nodes.List(ctx, conn, machine)
	if err != nil {
		return nil, err
	}
	var newest host.Info
	var from []string
	for _, n := range all {
		for i := range n.Machine {
			in := n.Machine[i].Info
			from = append(from, host.StateSubject(string(machine), n.Name))
			if in.Deployed && in.Seq >= newest.Seq {
				newest = in
			}
		}
	}
	if len(from) == 0 {
		return nil, unhosted(machine, all)
	}
	if !newest.Deployed {
		return nil, fmt.Errorf("machine %s has no guest yet: 'lockstep deploy' gives it one", machine)
	}
	wasm, err := transfer.Blob(ctx, conn, from, newest.Module, wasmabi.MaxModule)
	if err != nil {
		return nil, fmt.Errorf("fetch the guest of %s, which takes an operator's key: %w", machine, err)
	}
	return wasm, nil
}

// describedWithin bounds how long a guest that rejected an input is asked for its description.
const describedWithin = 3 * time.Second

// explainRejection adds to a guest's rejection of an input given in JSON in what it is not as the guest describes
// itself. Whoever may not read the guest, or one that does not describe itself, gets the rejection alone.
func (r *remote) explainRejection(c *cobra.Command, machine string, f forms, input []byte, query bool, err error) error {
	if f.in != "json" || !errors.As(err, new(*client.RejectedError)) {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), describedWithin)
	defer cancel()
	wasm, failed := r.guestOf(ctx, ordering.Name(machine))
	if failed != nil {
		return err
	}
	in, failed := description.Read(wasm)
	request, bad := description.ToJSON(input)
	if failed != nil || bad != nil {
		return err
	}
	operations := in.Apply
	if query {
		operations = in.Query
	}
	if wrong := description.Wrong(operations, request); wrong != "" {
		return fmt.Errorf("%w; %.500s; see 'lockstep describe %s'", err, wrong, machine)
	}
	return err
}

// writeInterface says in words what JSON has as data.
func writeInterface(w io.Writer, in description.Interface) error {
	var b strings.Builder
	b.WriteString(in.Name)
	if in.Doc != "" {
		b.WriteString(": " + in.Doc)
	}
	b.WriteByte('\n')
	for _, part := range []struct {
		title string
		list  map[string]description.Operation
		form  string // of the example, if there is one
	}{
		{"inputs", in.Apply, "lockstep call MACHINE -i json '%s'"},
		{"queries", in.Query, "lockstep query MACHINE -i json '%s'"},
		{"events", in.Events, ""},
	} {
		writeOperations(&b, part.title, part.list, part.form)
	}
	if len(in.Rejects) > 0 {
		b.WriteString("\ncodes of rejection\n")
		for _, code := range slices.Sorted(maps.Keys(in.Rejects)) {
			fmt.Fprintf(&b, "  %s  %s\n", code, in.Rejects[code])
		}
	}
	_, err := io.WriteString(w, harmless(b.String()))
	return err
}

// harmless takes from a text what would do something to a terminal: it is a stranger's.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func writeOperations(b *strings.Builder, title string, list map[string]description.Operation, form string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s", title)
	if form != "" {
		fmt.Fprintf(b, "   "+form, `["NAME", ARGUMENT, …]`)
	}
	b.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(list)) {
		op := list[name]
		b.WriteString("  " + op.Signature(name))
		if op.Returns != "" {
			b.WriteString(" → " + op.Returns)
		}
		if op.Doc != "" {
			b.WriteString("   " + op.Doc)
		}
		b.WriteByte('\n')
	}
}
