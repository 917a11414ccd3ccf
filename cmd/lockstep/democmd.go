package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/demo"
)

func demoCommand(r *remote) *cobra.Command {
	var verbose bool
	opts := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole life of a replicated machine, in this process",
		Long: `Starts three nodes in this process, each with its own NATS server, deploys a
key-value store compiled to WebAssembly, and shows what happens to it under load:
a node is killed and comes back, a bit flips in one replica's memory and is found
and repaired, the guest is upgraded, a node joins and another quits. Every step
checks what it shows. Exit code 0 means that every check held.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			opts.Logger = logger(verbose)
			opts.Out = c.OutOrStdout()
			if r.asJSON {
				opts.Out = nil
			}
			report, err := demo.Run(c.Context(), opts)
			if r.asJSON && len(report.Steps) > 0 {
				text, err := json.MarshalIndent(report, "", "  ")
				if err != nil {
					return fmt.Errorf("encode report: %w", err)
				}
				fmt.Fprintln(c.OutOrStdout(), string(text))
			}
			if err != nil {
				return err
			}
			if !report.OK {
				return errors.New("demo: a check did not hold")
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the logs of nodes and servers to standard error")
	c.Flags().IntVar(&opts.Calls, "calls", demo.DefaultCalls, "calls of the first step")
	c.Flags().IntVar(&opts.Callers, "callers", demo.DefaultCallers, "concurrent callers")
	c.Flags().StringVar(&opts.Dir, "dir", os.Getenv("LOCKSTEP_DEMO_DIR"), "keep the data here instead of in a temporary folder that is removed")
	return c
}
