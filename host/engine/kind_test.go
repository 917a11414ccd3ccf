package engine

import (
	"runtime"
	"strings"
	"testing"
)

// A machine on arm64 does not compile unless it is told to, and then it warns.
func TestKind(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		arch  string
		want  Kind
		warns bool
	}{
		{Auto, "amd64", Compiler, false},
		{Auto, "arm64", Interpreter, false},
		{Auto, "riscv64", Interpreter, false},
		{Compiler, "amd64", Compiler, false},
		{Compiler, "arm64", Compiler, true},
		{Interpreter, "amd64", Interpreter, false},
		{Interpreter, "arm64", Interpreter, false},
	} {
		warning := c.kind.warning(c.arch)
		if got := c.kind.resolve(c.arch); got != c.want || (warning != "") != c.warns {
			t.Errorf("%v on %s: %v with warning %q, want %v with one: %v", c.kind, c.arch, got, warning, c.want, c.warns)
		}
		if c.warns && !strings.Contains(warning, "2508") {
			t.Errorf("%v on %s: %q names no bug", c.kind, c.arch, warning)
		}
		if got, err := ParseKind(c.kind.String()); got != c.kind || err != nil {
			t.Errorf("%q is read as %v, %v", c.kind, got, err)
		}
	}
	for _, bad := range []string{"", "Compiler", "both"} {
		if k, err := ParseKind(bad); err == nil {
			t.Errorf("%q is read as %v", bad, k)
		}
	}
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Kind(), Auto.resolve(runtime.GOARCH); got != want {
		t.Errorf("an engine that is told nothing is of kind %v, want %v", got, want)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
