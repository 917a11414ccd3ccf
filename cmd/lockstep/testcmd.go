package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/project"
	"lockstep/cmd/lockstep/script"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/hosttest"
)

// tested is what became of one script.
type tested struct {
	Script   string  `json:"script"`
	OK       bool    `json:"ok"`
	Why      string  `json:"why,omitempty"`
	Commands int     `json:"commands"`
	Gas      uint64  `json:"gas"`
	Root     string  `json:"root,omitempty"`
	Seconds  float64 `json:"seconds"`
}

func testCommand(r *remote) *cobra.Command {
	var kind string
	var config host.Config
	var bound *bounds
	c := &cobra.Command{
		Use:   "test GUEST.wasm|DIR [SCRIPT.txtar...]",
		Short: "Test a guest with scripts, without a cluster",
		Long: `Runs each script (default: tests/*.txtar beside the guest) against the guest, or the
one that the project in a folder has built, on the engine and the machine that replicas run. What it does is the same every time and everywhere: with
--engine both, each script runs on the compiler and on the interpreter, and their
outputs, gas and final states must be equal.

` + scriptHelp,
		Example: `  lockstep build && lockstep test .
  lockstep test counter.wasm tests/limits.txtar --engine both`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := project.Open(args[0])
			if err != nil {
				return err
			}
			if err := bound.take(); err != nil {
				return err
			}
			wasm, err := readGuest(p.Module(), config.MaxMemory)
			if err != nil {
				return err
			}
			scripts := args[1:]
			if len(scripts) == 0 {
				beside := filepath.Join(p.Dir, "tests", "*.txtar")
				if scripts, err = filepath.Glob(beside); err != nil || len(scripts) == 0 {
					return usage("name a script: there is none in %s", beside)
				}
			}
			kinds, err := engines(kind)
			if err != nil {
				return err
			}
			return runScripts(c, r, wasm, scripts, kinds, config)
		},
	}
	c.Flags().StringVar(&kind, "engine", engine.Auto.String(), engineFlag+": then they are compared")
	bound = boundFlags(c.Flags(), &config)
	return c
}

const scriptHelp = `A script is a txtar archive: commands and checks, a line each, then files. Commands:
apply INPUT, query INPUT, advance DURATION, upgrade FILE, as CLIENT, snapshot NAME,
restore NAME, reload; with ! in front the guest must not accept. Checks of the last
result: output BYTES, match REGEXP, code N, trap NAME, gas <= N, log REGEXP,
event BYTES, timers N, memory <= SIZE, same SNAPSHOT. A guest's invariant, if it
exports one, must hold after each command. INPUT and BYTES are a word, a
string quoted as in Go, hex:0102, json:{"a": 1} (as CBOR), or @file of the archive.`

func runScripts(c *cobra.Command, r *remote, wasm []byte, scripts []string, kinds []engine.Kind, config host.Config) error {
	open, err := guestEngines(kinds, c.ErrOrStderr())
	defer closeEngines(open)
	if err != nil {
		return err
	}
	results := make([]tested, 0, len(scripts))
	failed := 0
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read script: %w", err)
		}
		one := runScript(name, text, wasm, open, config)
		if !one.OK {
			failed++
		}
		results = append(results, one)
		if r.asJSON {
			continue
		}
		if err := writeTested(c.OutOrStdout(), one); err != nil {
			return err
		}
	}
	if r.asJSON {
		if err := printJSON(c.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d scripts failed", failed, len(scripts))
	}
	return nil
}

// runScript runs one script on each engine; all must come to the same.
func runScript(name string, text, wasm []byte, open []*engine.Engine, config host.Config) tested {
	began := time.Now()
	out := tested{Script: name}
	for i, e := range open {
		got, err := script.Run(name, text, wasm, hosttest.Options{Config: config, Engine: e})
		if err == nil && i > 0 && (got.Root != out.Root || got.Gas != out.Gas) {
			err = errors.New("compiler and interpreter end differently: this is a bug of lockstep, please report it with the guest")
		}
		out.Commands, out.Gas, out.Root = got.Commands, got.Gas, got.Root
		if err != nil {
			out.Why = err.Error()
			break
		}
	}
	out.OK, out.Seconds = out.Why == "", time.Since(began).Seconds()
	return out
}

func writeTested(w io.Writer, t tested) error {
	if t.OK {
		_, err := fmt.Fprintf(w, "ok    %s  %d commands, %d gas\n", t.Script, t.Commands, t.Gas)
		return err
	}
	_, err := fmt.Fprintf(w, "FAIL  %s\n", t.Why)
	return err
}
