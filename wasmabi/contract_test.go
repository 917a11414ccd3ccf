package wasmabi_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"lockstep/wasmabi"
)

// docs/guest-contract.md names every export and import with its type, and no others.
func TestContractPage(t *testing.T) {
	text, err := os.ReadFile("../docs/guest-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{
		fmt.Sprintf("# The guest contract, version %d\n", wasmabi.Version),
		fmt.Sprintf("From module `%s`.", wasmabi.Module),
		fmt.Sprintf("| `%s` | must |", wasmabi.ExportMemory),
		fmt.Sprintf("| input, output | %d KiB each |", wasmabi.MaxInput>>10),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/guest-contract.md lacks %q", want)
		}
	}
	// A row of the tables: its name, parameters and results.
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)\\(([^)]*)\\)(?: -> (i32|i64))?` \\|").FindAllStringSubmatch(page, -1)
	described := make(map[string]string)
	for _, m := range rows {
		described[m[1]] = letters(m[2]) + ">" + letters(m[3])
	}
	funcs := append(append([]wasmabi.Func(nil), wasmabi.Exports...), wasmabi.Imports...)
	for _, f := range funcs {
		if got, want := described[f.Name], f.Params+">"+f.Results; got != want {
			t.Errorf("%s is described as %q, want %q", f.Name, got, want)
		}
	}
	if len(described) != len(funcs) {
		t.Errorf("%d functions are described, want %d", len(described), len(funcs))
	}
}

// letters are the types of a list such as "ptr, id: i64": i32 where nothing is said.
func letters(list string) (types string) {
	if list == "" {
		return ""
	}
	for _, p := range strings.Split(list, ",") {
		if strings.Contains(p, "i64") {
			types += "I"
		} else {
			types += "i"
		}
	}
	return types
}
