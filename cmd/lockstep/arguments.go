package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep/ordering"
)

// checkMachines refuses arguments that cannot be a machine's name, by where the usage line has
// MACHINE: nobody has to be asked for that.
func checkMachines(c *cobra.Command, args []string) error {
	words := strings.Fields(c.Use)[1:]
	at := slices.IndexFunc(words, func(w string) bool { return strings.Trim(w, "[].") == "MACHINE" })
	if at < 0 || at >= len(args) {
		return nil
	}
	names := args[at : at+1]
	if strings.HasSuffix(words[at], "...") {
		names = args[at:]
	}
	for _, name := range names {
		if err := ordering.Name(name).Validate(); err != nil {
			return usage("%w: a machine has 1 to %d of a-z, 0-9 and -", err, ordering.MaxName)
		}
	}
	return nil
}

// goParse is how the standard library says that a value is none of its type.
var goParse = regexp.MustCompile(`(strconv\.Parse\w+: parsing "[^"]*": (invalid syntax|value out of range)|time: (invalid|unknown|missing) [^:]*)$`)

// plainly says what a flag's value is to be, where the error has only what Go calls it.
func plainly(c *cobra.Command, err error) error {
	text := err.Error()
	_, name, ok := strings.Cut(text, `for "`)
	if !ok || !goParse.MatchString(text) {
		return err
	}
	name, _, _ = strings.Cut(name, `"`)
	f := c.Flags().Lookup(name[strings.LastIndex(name, "--")+2:])
	if !strings.Contains(name, "--") || f == nil {
		return err
	}
	want := map[string]string{
		"uint64": "a whole number, 0 or more", "uint32": "a whole number, 0 or more", "int": "a whole number",
		"duration": "a number and a unit, such as 30s or 5m", "bool": "true or false",
	}[f.Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("%swant %s", goParse.ReplaceAllString(text, ""), want)
}
