package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/files"
	"lockstep/host/daemon"
)

func instrumentCommand(r *remote) *cobra.Command {
	var to string
	var memory daemon.Size
	c := &cobra.Command{
		Use:   "instrument FILE.wasm -o OUT.wasm",
		Short: "Write a guest's module as replicas run it: deterministic, metered, its state exposed",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return fmt.Errorf("say where to write with -o OUT.wasm: %w", errUsage)
			}
			pages, err := memoryPages(memory)
			if err != nil {
				return err
			}
			_, m, err := instrumented(args[0], pages)
			if err != nil {
				return err
			}
			if err := files.Write(to, m.Wasm); err != nil {
				return fmt.Errorf("write module: %w", err)
			}
			return r.show(c, map[string]any{"module": to, "size": len(m.Wasm)}, silently)
		},
	}
	c.Flags().StringVarP(&to, "output", "o", "", "file to write; it is replaced if it exists")
	memoryFlag(c.Flags(), &memory)
	return c
}
