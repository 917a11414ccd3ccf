package spec

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// suites are the two editions of the suite that wazero's module ships.
var suites = []string{"v1", "v2"}

// script is one file of the suite, as wast2json makes it.
type script struct {
	name     string
	dir      string
	Commands []command
}

type command struct {
	Type       string
	Line       int
	Name       string // of a module
	As         string // of a registration
	Filename   string
	ModuleType string `json:"module_type"`
	Action     struct {
		Type, Module, Field string
		Args                []value
	}
	Expected []value
}

// value is a constant of the suite: bits as decimal text, or lanes of them, or
// the kind of a NaN.
type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    json.RawMessage
}

// scripts reads a suite from wazero's module.
func scripts(t testing.TB, suite string) []script {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("find wazero's module: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal/integration_test/spectest", suite, "testdata")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%s has %d scripts, %v", dir, len(files), err)
	}
	sort.Strings(files)
	var list []script
	for _, f := range files {
		s := script{name: strings.TrimSuffix(filepath.Base(f), ".json"), dir: dir}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		list = append(list, s)
	}
	return list
}

func (s script) wasm(t testing.TB, filename string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, filename))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// registered is the name under which the module of a command is linked to by
// those that follow.
func (s script) registered(at int) string {
	for _, c := range s.Commands[at+1:] {
		switch {
		case c.Type == "module":
			return ""
		case c.Type == "register":
			return c.As
		}
	}
	return ""
}

// slots are the words in which wazero passes a value; ok is false for one of
// references other than null.
func (v value) slots() (words []uint64, ok bool) {
	if v.Type == "v128" {
		lanes := v.lanes()
		width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64}[v.LaneType]
		words = make([]uint64, 2)
		for i, lane := range lanes {
			n, err := strconv.ParseUint(lane, 10, 64)
			if err != nil {
				return nil, false
			}
			at := i * width
			words[at/64] |= n << (at % 64)
		}
		return words, true
	}
	text := v.text()
	if v.Type == "externref" || v.Type == "funcref" {
		return []uint64{0}, text == "null"
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return []uint64{n}, err == nil
}

func (v value) text() string {
	var s string
	if json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}

func (v value) lanes() []string {
	var list []string
	if json.Unmarshal(v.Value, &list) != nil {
		return nil
	}
	return list
}

const (
	canonical32 = 0x7fc00000
	canonical64 = 0x7ff8000000000000
)

// matches tells whether words hold what is expected. With strict, a NaN that the
// suite leaves open must be the canonical positive one.
func (v value) matches(words []uint64, strict bool) bool {
	if v.Type != "v128" {
		return matchFloat(v.Type, v.text(), words[0], strict)
	}
	lanes := v.lanes()
	width := 128 / len(lanes)
	for i, lane := range lanes {
		at := i * width
		bits := words[at/64] >> (at % 64)
		if width < 64 {
			bits &= 1<<width - 1
		}
		if !matchFloat(v.LaneType, lane, bits, strict) {
			return false
		}
	}
	return true
}

func matchFloat(typ, want string, bits uint64, strict bool) bool {
	switch {
	case strings.HasPrefix(want, "nan:") && typ == "f32":
		return uint32(bits) == canonical32 || !strict && bits&0x7fc00000 == 0x7fc00000
	case strings.HasPrefix(want, "nan:"):
		return bits == canonical64 || !strict && bits&0x7ff8000000000000 == 0x7ff8000000000000
	case typ == "externref" || typ == "funcref":
		return want != "null" || bits == 0
	}
	n, err := strconv.ParseUint(want, 10, 64)
	if typ == "i32" || typ == "f32" {
		return err == nil && uint32(n) == uint32(bits)
	}
	return err == nil && n == bits
}
