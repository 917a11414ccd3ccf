package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the host and of what guests depend on",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			version := "(devel)"
			if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
				version = info.Main.Version
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "lockstep %s\nguest contract %d\ninstrumentation profile %d\n%s %s/%s\n",
				version, wasmabi.Version, instrument.Profile, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
