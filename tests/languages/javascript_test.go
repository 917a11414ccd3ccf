//go:build toolchains

package languages

import (
	"strings"
	"testing"

	"lockstep/guests/description"
	"lockstep/guests/sdk/javascript/bundle"
	"lockstep/host/hosttest"
	"lockstep/wasmabi"
)

func javaScript(t *testing.T, source string) (*hosttest.Machine, error) {
	t.Helper()
	engine, err := quickJS()
	if err != nil {
		t.Fatal(err)
	}
	module, err := bundle.Module(engine, []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	m, err := hosttest.New(module, hosttest.Options{})
	if err == nil {
		t.Cleanup(m.Close)
	}
	return m, err
}

// What is wrong with a script is said when it is deployed, with the line.
func TestJavaScriptFaults(t *testing.T) {
	for source, want := range map[string]string{
		"let a = 1;": "registered no machine", "\nnothing();": "guest.js:2", "register({});": "a machine has a function apply",
	} {
		if _, err := javaScript(t, source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", source, err, want)
		}
	}
	m, err := javaScript(t, `
		let n = 0;
		register({ apply(request, ctx) { n++; ctx.emit([n]); if (request[0] === "throw") null.x; return n; } });`)
	if err != nil {
		t.Fatal(err)
	}
	call := func(text string) hosttest.Result {
		input, err := description.FromJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m.Apply(input)
	}
	if r := call(`["throw"]`); r.Status != wasmabi.Trapped || !strings.Contains(r.Log, "at apply (guest.js") || len(r.Events) != 0 {
		t.Errorf("throw: got %+v, want a trap that says where", r)
	}
	if r := call(`["go on"]`); string(r.Output) != "\x01" {
		t.Errorf("after a throw: got %x, want 1", r.Output)
	}
}

// Time, randomness and what else a script may ask is the same on all replicas.
func TestJavaScriptIsDeterministic(t *testing.T) {
	source := `register({ apply(request, ctx) {
		return [String(Math.random()), String(Date.now()), String(new Date()), String(ctx.time()), Object.keys({b: 1, a: 2, 1: 3}).join(),
			String(Math.sin(1e300)), String(0.1 + 0.2), ctx.random(4), [3, 1, 2].sort(), "é😀", 9007199254740993n, null, true];
	} });`
	var first string
	for range 2 {
		m, err := javaScript(t, source)
		if err != nil {
			t.Fatal(err)
		}
		r := m.Apply([]byte("\x81\x61x"))
		text, err := description.ToJSON(r.Output)
		if err != nil {
			t.Fatalf("%v, %v", r.Err(), err)
		}
		if first == "" {
			first = string(text)
			t.Log(first)
		}
		if string(text) != first {
			t.Errorf("got %s, then %s", first, text)
		}
	}
}
