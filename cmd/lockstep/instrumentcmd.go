package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lockstep/wasmabi/instrument"
)

func instrumentCommand(r *remote) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "instrument FILE.wasm -o OUT.wasm",
		Short: "Write a guest's module as replicas run it: deterministic, metered, its state exposed",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return fmt.Errorf("say where to write with -o OUT.wasm: %w", errUsage)
			}
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			m, err := instrument.Instrument(wasm, guestConfig)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := writeWhole(to, m.Wasm); err != nil {
				return err
			}
			return r.show(c, map[string]any{"module": to, "size": len(m.Wasm)}, silently)
		},
	}
	c.Flags().StringVarP(&to, "output", "o", "", "file to write; it is replaced if it exists")
	return c
}

// writeWhole writes a file that is there as a whole or not at all.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}
