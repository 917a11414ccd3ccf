package engine_test

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/wasmabi"
)

// nested is a module whose apply calls a function that loops over one without a
// name, which does the rest. The function's name has a line break in it.
func nested(rest ...byte) []byte {
	sized := func(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
	section := func(id byte, content ...byte) []byte { return append([]byte{id}, sized(content)...) }
	body := func(code ...byte) []byte { return sized(append(append([]byte{0}, code...), 0x0b)) }
	outer := append(sized([]byte("lockstep_apply")), 0, 0)
	memory := append(sized([]byte("memory")), 2, 0)
	names := slices.Concat(sized([]byte("name")), []byte{1}, sized(slices.Concat([]byte{1, 1}, sized([]byte("in\nner")))))
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 0, 0),
		section(3, 3, 0, 1, 1),
		section(5, 1, 0, 1),
		section(7, slices.Concat([]byte{2}, outer, memory)...),
		section(10, slices.Concat([]byte{3}, body(0x10, 1, 0x41, 0), body(0x03, 0x40, 0x10, 2, 0x0c, 0, 0x0b), body(rest...))...),
		section(0, names...))
}

// The log of a call that failed says where, in the guest's own names.
func TestTrace(t *testing.T) {
	frames := []string{"function 2", `in\nner`, "lockstep_apply"}
	for _, kind := range kinds {
		e := newEngine(t, engine.Config{Kind: kind})
		for _, tc := range []struct {
			name, first string
			code        []byte
		}{
			{"unreachable", "trap: unreachable", []byte{0x00}},
			{"memory", "trap: memory access out of bounds", []byte{0x41, 0x7f, 0x28, 2, 0, 0x1a}},
			{"gas", "trap: out of gas", []byte{0x03, 0x40, 0x0c, 0, 0x0b}},
		} {
			t.Run(tc.name+"/"+kind.String(), func(t *testing.T) {
				m, err := e.Compile(nested(tc.code...), 0)
				if err != nil {
					t.Fatal(err)
				}
				g, err := m.Instantiate()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = g.Close() }()
				o := g.Call(host.Call{Export: wasmabi.ExportApply, Gas: 1000})
				want := tc.first + "\n\tat " + strings.Join(frames, "\n\tat ") + "\n"
				if string(o.Log) != want {
					t.Errorf("log is %q, want %q", o.Log, want)
				}
				if got := g.(interface{ Trace() []string }).Trace(); !slices.Equal(got, frames) {
					t.Errorf("trace is %q, want %q", got, frames)
				}
			})
		}
	}
}

// A guest chooses its names: a log shows the beginning of a long one.
func TestTraceLongName(t *testing.T) {
	for _, n := range []int{200, 201} {
		name := strings.Repeat("x", n)
		sized := func(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }
		names := slices.Concat(sized([]byte("name")), []byte{1}, sized(slices.Concat([]byte{1, 2}, sized([]byte(name)))))
		m, err := newEngine(t, engine.Config{}).Compile(slices.Concat(nested(0x00), []byte{0}, sized(names)), 0)
		if err != nil {
			t.Fatal(err)
		}
		g, err := m.Instantiate()
		if err != nil {
			t.Fatal(err)
		}
		want := name
		if n > 200 {
			want = name[:200] + "..."
		}
		o := g.Call(host.Call{Export: wasmabi.ExportApply, Gas: 1000})
		if first := "trap: unreachable\n\tat " + want + "\n"; !strings.HasPrefix(string(o.Log), first) {
			t.Errorf("log is %q, want %q…", o.Log, first)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

// With Lines the log names lines of the source, though the code was rewritten.
func TestLines(t *testing.T) {
	guest, err := os.ReadFile("testdata/lines/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			e := newEngine(t, engine.Config{Kind: kind, Lines: true})
			m, err := e.Compile(guest, 0)
			if err != nil {
				t.Fatal(err)
			}
			g, err := m.Instantiate()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = g.Close() }()
			call := host.Call{Export: wasmabi.ExportApply, Gas: 100_000, Input: []byte{5}}
			if o := g.Call(call); o.Status != wasmabi.OK {
				t.Fatalf("got %v, %s", o.Status, o.Log)
			}
			call.Input[0] = 0
			o := g.Call(call)
			if want := "trap: integer divide by zero\n\tat divide (guest.c:10)\n\tat apply (guest.c:18)\n"; string(o.Log) != want {
				t.Errorf("log is %q, want %q", o.Log, want)
			}
			g.Undo()
			call.Gas = 300
			if o, want := g.Call(call), "trap: out of gas\n\tat divide (guest.c:"; !strings.HasPrefix(string(o.Log), want) {
				t.Errorf("log is %q, want %q…", o.Log, want)
			}
			bare, err := e.Compile(nested(0x00), 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := bare.Instantiate()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			call.Gas = 1000
			o = b.Call(call)
			if want := "trap: unreachable\n\tat function 2 (code offset 0x14)\n"; !strings.HasPrefix(string(o.Log), want) {
				t.Errorf("log is %q, want %q…", o.Log, want)
			}
		})
	}
}
