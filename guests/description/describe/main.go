// Command describe puts an interface description into a module:
//
//	describe MODULE.wasm INTERFACE.json
package main

import (
	"fmt"
	"os"

	"lockstep/guests/description"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: describe MODULE.wasm INTERFACE.json")
		os.Exit(2)
	}
	if err := describe(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "describe:", err)
		os.Exit(1)
	}
}

func describe(path, text string) error {
	module, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	in, err := os.ReadFile(text)
	if err != nil {
		return err
	}
	if module, err = description.Append(module, in); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, module, 0o644)
}
