// Command cmd makes a guest of a script in JavaScript:
//
//	go run ./guests/sdk/javascript/bundle/cmd ENGINE.wasm SCRIPT.js GUEST.wasm
package main

import (
	"fmt"
	"os"

	"lockstep/guests/sdk/javascript/bundle"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: ENGINE.wasm SCRIPT.js GUEST.wasm")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(engine, script, out string) error {
	e, err := os.ReadFile(engine)
	if err != nil {
		return err
	}
	s, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	module, err := bundle.Module(e, s)
	if err != nil {
		return err
	}
	return os.WriteFile(out, module, 0o644)
}
