package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// reference is where the command line is written down.
const reference = "../../docs/cli.md"

// docs/cli.md is what the commands say of themselves. UPDATE=1 writes it.
func TestReference(t *testing.T) {
	var b strings.Builder
	root := command(&remote{})
	root.InitDefaultHelpCmd()
	fmt.Fprintf(&b, "# The command line\n\nWhat `lockstep help COMMAND` prints, in one page; a test writes it (`UPDATE=1 go test ./cmd/lockstep -run TestReference`).\n"+
		"\nFlags of all commands:\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID {
				describe(&b, c)
			}
		}
	}
	fmt.Fprint(&b, "\n## More\n")
	for _, c := range root.Commands() {
		if c.GroupID == "" && c.Name() != "help" {
			describe(&b, c)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(reference, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("docs/cli.md is not what the commands say: write it with UPDATE=1")
	}
}

func describe(b *strings.Builder, c *cobra.Command) {
	if c.Hidden {
		return
	}
	text := c.Short + "."
	switch {
	case c.Long != "" && c.Runnable():
		text += "\n\n" + c.Long
	case c.Long != "" && !c.HasSubCommands():
		text += "\n\n```\n" + c.Long + "\n```"
	}
	fmt.Fprintf(b, "\n### lockstep %s\n\n%s\n", strings.TrimPrefix(c.CommandPath(), "lockstep "), strings.TrimSpace(text))
	if c.Runnable() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", c.Example)
	}
	if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\n```\n%s```\n", flags)
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}
