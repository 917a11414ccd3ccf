// Command lockstep hosts replicated state machines written in any language
// that compiles to WebAssembly.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK        = 0
	exitFailed    = 1   // it ran, and what it was asked to show or check does not hold
	exitUsage     = 2   // wrong flag or argument
	exitInterrupt = 130 // ctrl-C
)

// errUsage marks a mistake in the command line.
var errUsage = errors.New("see 'lockstep help'")

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "lockstep: interrupted")
		return exitInterrupt
	case err == nil:
		return exitOK
	}
	fmt.Fprintln(os.Stderr, "lockstep:", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "lockstep",
		Short:         "Replicated, audited, upgradable state machines in WebAssembly",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", err, errUsage) })
	root.AddCommand(demoCommand(), checkCommand(), instrumentCommand(), versionCommand())
	for _, c := range root.Commands() {
		args := c.Args
		c.Args = func(c *cobra.Command, a []string) error {
			if err := args(c, a); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			return nil
		}
	}
	return root
}

// logger writes to stderr if verbose, and else nowhere.
func logger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
