package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/project"
	"lockstep/host"
	"lockstep/host/daemon"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

func checkCommand(r *remote) *cobra.Command {
	var explain bool
	var memory daemon.Size
	c := &cobra.Command{
		Use:   "check FILE.wasm",
		Short: "Say whether a module can be a guest, and if not, why",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			pages, err := memoryPages(memory)
			if err != nil {
				return err
			}
			wasm, m, err := instrumented(args[0], pages)
			if err != nil {
				return err
			}
			v := struct {
				File         string                  `json:"file"`
				Digest       string                  `json:"digest"`
				Size         int                     `json:"size"`
				Instrumented int                     `json:"instrumented_size"`
				Explanation  *instrument.Explanation `json:"explanation,omitempty"`
			}{File: args[0], Digest: host.ModuleDigest(wasm).Hex(), Size: len(wasm), Instrumented: len(m.Wasm)}
			if explain {
				e, err := instrument.Explain(wasm, guestConfig(pages))
				if err != nil {
					return err
				}
				v.Explanation = e
			}
			return r.show(c, v, func(w io.Writer) error {
				_, err = fmt.Fprintf(w, "%s: ok\n  digest        %s\n  size          %d bytes, instrumented %d\n", v.File, v.Digest, v.Size, v.Instrumented)
				if err != nil || !explain {
					return err
				}
				return writeExplanation(w, *v.Explanation)
			})
		},
	}
	c.Flags().BoolVar(&explain, "explain", false, "tell what the instrumentation does to each function, and how far each limit is")
	memoryFlag(c.Flags(), &memory)
	return c
}

// readGuest reads a module and says here what every replica of a machine with such a bound on memory would.
func readGuest(path string, maxMemory uint32) ([]byte, error) {
	wasm, _, err := instrumented(path, maxMemory)
	return wasm, err
}

// instrumented is readGuest with what replicas run.
func instrumented(path string, maxMemory uint32) ([]byte, *instrument.Module, error) {
	wasm, err := readModule(path)
	if err != nil {
		return nil, nil, err
	}
	m, err := instrument.Instrument(wasm, guestConfig(maxMemory))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return wasm, m, nil
}

// readModule reads a file that may be a module, without reading more of one
// that is too large to be.
func readModule(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read module: %s is a folder%s", path, moduleIn(path))
	}
	if info.Size() > wasmabi.MaxModule {
		return nil, fmt.Errorf("%s: %w", path, errors.New(tooLarge(info.Size())))
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	return wasm, nil
}

// moduleIn is what to name instead of a folder.
func moduleIn(dir string) string {
	p, err := project.Open(dir)
	if err != nil {
		return ""
	}
	if _, err := os.Stat(p.Module()); err != nil {
		return fmt.Sprintf(": 'lockstep build %s' builds %s", dir, p.Module())
	}
	return ": name the module, " + p.Module()
}

func tooLarge(size int64) string {
	return fmt.Sprintf("module has %d bytes, want at most %d", size, wasmabi.MaxModule)
}
