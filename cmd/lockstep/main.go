// Command lockstep hosts replicated state machines written in any language
// that compiles to WebAssembly.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lockstep/cmd/lockstep/settings"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // the second ctrl-C does what it does to any program
	}()
	r := &remote{}
	root := command(r)
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, err)
	if err != nil && (r.asJSON || slices.Contains(args, "--json")) { // flags that are wrong may have ended the reading before it
		_ = printJSON(os.Stdout, map[string]any{"error": failureOf(c, err, code)}) // to whoever is still there
	}
	switch code {
	case exitOK:
	case exitInterrupt:
		fmt.Fprintln(os.Stderr, "lockstep: interrupted")
	default:
		fmt.Fprintln(os.Stderr, "lockstep:", harmless(helped(c, explain(err)))) // guests and peers had a word in it
	}
	return code
}

func command(r *remote) *cobra.Command {
	root := &cobra.Command{
		Use:           "lockstep",
		Short:         "Replicated, audited, upgradable state machines in WebAssembly",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w%s: %w", plainly(c, err), nearFlag(c, err), errUsage)
	})
	r.flags(root.PersistentFlags())
	groups(root, r)
	for _, c := range root.Commands() {
		strict(c)
	}
	return root
}

// groups adds the commands in the order in which one comes to need them.
func groups(root *cobra.Command, r *remote) {
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"guest", "Write a guest:", []*cobra.Command{newCommand(r), buildCommand(r), bundleCommand(r), checkCommand(r), instrumentCommand(r), describeCommand(r), testCommand(r), devCommand()}},
		{"run", "Run nodes:", []*cobra.Command{initCommand(r), nodeCommand(r), configCommand(r), checkpointCommand(r), demoCommand(r)}},
		{"use", "Use machines:", []*cobra.Command{deployCommand(r), callCommand(r), queryCommand(r), subscribeCommand(r), verifyCommand(r), upgradeCommand(r), statusCommand(r), topCommand(r), logCommand(r), contextCommand(r)}},
		{"members", "Change who keeps a machine:", []*cobra.Command{joinCommand(r), quitCommand(r), replaceCommand(r), recoverCommand(r), evidenceCommand(r), doctorCommand(r)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(versionCommand(r), exitCodesTopic())
}

// strict makes wrong arguments of a command and those below it mistakes of
// usage that show how it is used.
func strict(c *cobra.Command) {
	args := c.Args
	if args == nil {
		args = cobra.NoArgs
	}
	if c.HasSubCommands() {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	c.Args = func(c *cobra.Command, a []string) error {
		if c.HasSubCommands() && len(a) > 0 {
			return unknownCommand(c, a[0])
		}
		if err := args(c, a); err != nil {
			return fmt.Errorf("%w; usage: %s: %w", err, c.UseLine(), errUsage)
		}
		return checkMachines(c, a)
	}
	for _, below := range c.Commands() {
		strict(below)
	}
}

func unknownCommand(c *cobra.Command, word string) error {
	var names []string
	for _, known := range c.Commands() {
		names = append(names, known.Name())
	}
	hint := ""
	if near := settings.Nearest(word, names); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return fmt.Errorf("%s has no command %q%s: %w", c.CommandPath(), word, hint, errUsage)
}

// nearFlag is the flag that was probably meant.
func nearFlag(c *cobra.Command, err error) string {
	_, word, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return ""
	}
	var names []string
	c.Flags().VisitAll(func(f *flag) { names = append(names, f.Name) })
	c.InheritedFlags().VisitAll(func(f *flag) { names = append(names, f.Name) })
	if near := settings.Nearest(word, names); near != "" {
		return ", did you mean --" + near + "?"
	}
	return ""
}

// logger writes to stderr if verbose, and else nowhere.
func logger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
