package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/files"
	"lockstep/cmd/lockstep/project"
	"lockstep/guests/sdk/javascript/bundle"
)

func newCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "new LANGUAGE DIR",
		Short: "Begin a guest: a project that builds and tests at once",
		Long: `Writes a counter, the language's SDK, a test, and guest.toml, which says how the guest
is built. Languages: ` + strings.Join(project.Languages(), ", ") + ".",
		Args:      cobra.ExactArgs(2),
		ValidArgs: project.Languages(),
		RunE: func(c *cobra.Command, args []string) error {
			needs, err := project.Create(args[0], args[1])
			if err != nil {
				return err
			}
			v := map[string]string{"dir": args[1], "needs": needs}
			return r.show(c, v, func(w io.Writer) error {
				dir := quoted(args[1])
				_, err := fmt.Fprintf(w, "made %s; its build takes %s\nnext: lockstep build %s && lockstep test %s\nthen: lockstep dev %s --watch\n", args[1], needs, dir, dir, dir)
				return err
			})
		},
	}
}

// plain are words that a shell takes as they stand.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,][A-Za-z0-9_./@%+=:,-]*$`)

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func buildCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a guest as its guest.toml says, and check it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := project.Open(first(append(args, ".")...))
			if err != nil {
				return err
			}
			if err := p.Make(c.Context()); err != nil {
				return err
			}
			wasm, err := readGuest(p.Module(), anyMemory)
			if err != nil {
				return err
			}
			v := map[string]any{"module": p.Module(), "size": len(wasm)}
			return r.show(c, v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "built %s, %d bytes\n", p.Module(), len(wasm))
				return err
			})
		},
	}
}

func bundleCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "bundle ENGINE SCRIPT GUEST",
		Short: "Make a guest of a script in JavaScript",
		Long: `Puts a script into the JavaScript engine, which 'lockstep new javascript' has the source of:
what it writes is one module, deployed and upgraded like any other.`,
		Example: "  lockstep bundle engine.wasm guest.js guest.wasm",
		Args:    cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			engine, err := readModule(args[0])
			if err != nil {
				return fmt.Errorf("the engine, which 'lockstep new javascript' tells how to build: %w", err)
			}
			script, err := os.ReadFile(args[1])
			if err != nil {
				return fmt.Errorf("read script: %w", err)
			}
			guest, err := bundle.Module(engine, script)
			if err != nil {
				return fmt.Errorf("bundle %s: %w", args[1], err)
			}
			if err := files.Write(args[2], guest); err != nil {
				return err
			}
			return r.show(c, map[string]any{"module": args[2], "size": len(guest)}, silently)
		},
	}
}
