package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// version is the program's, as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the host and of what guests depend on",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Contract uint32 `json:"guest_contract"`
				Profile  uint32 `json:"instrumentation_profile"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version(), wasmabi.Version, instrument.Profile, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return r.show(c, v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "lockstep %s\nguest contract %d\ninstrumentation profile %d\n%s %s\n", v.Version, v.Contract, v.Profile, v.Go, v.Platform)
				return err
			})
		},
	}
}
