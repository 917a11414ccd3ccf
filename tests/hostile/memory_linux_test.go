package hostile

import (
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"testing"

	"lockstep/host/engine"
	"lockstep/wasmabi/instrument"
)

// compiled names the module that a process of TestCompilerMemory compiles.
const compiled = "LOCKSTEP_TEST_COMPILED"

// crowds are functions of what takes a compiler the most memory.
var crowds = map[string]func(m *module, n int) []byte{
	"calls through the table": func(m *module, n int) []byte {
		m.table, m.entries = 1, []uint32{0}
		return times(n, cat(con(0), callIndirect(m.typ(nil, nil))))
	},
	"loads":                      func(_ *module, n int) []byte { return times(n, cat(con(0), load, drop)) },
	"calls":                      func(m *module, n int) []byte { return times(n, call(0)) },
	"calls of a thousand values": func(m *module, n int) []byte { return callsOf1000(m, n) },
}

// crowd has the function twice, as large as it may be in a module of some megabytes.
func crowd(of func(m *module, n int) []byte) []byte {
	with := func(n int) []byte {
		m := newModule()
		m.proc()
		m.proc(of(m, n))
		m.proc(of(m, n))
		return cat(m.apply(), padding(8<<20))
	}
	n := sort.Search(1<<20, func(n int) bool {
		_, err := instrument.Explain(with(n+1), instrument.Config{})
		return err != nil
	})
	return with(n)
}

// To compile takes a bounded part of a node's memory, whatever functions a module has and however many cores there are.
func TestCompilerMemory(t *testing.T) {
	const limit = 640 << 20
	if of := os.Getenv(compiled); of != "" {
		compile(t, crowd(crowds[of]))
		return
	}
	for name := range crowds {
		t.Run(name, func(t *testing.T) {
			process := exec.Command(os.Args[0], "-test.run=^TestCompilerMemory$")
			process.Env = append(os.Environ(), compiled+"="+name)
			out, err := process.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			most, _, _ := strings.Cut(string(out), "\n")
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(most, "kB")))
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			t.Logf("took %d MiB at most", kilobytes>>10)
			if kilobytes<<10 > limit {
				t.Errorf("took %d MiB at most, want %d", kilobytes>>10, limit>>20)
			}
		})
	}
}

// compile compiles a module and prints the most memory that the process ever had.
func compile(t *testing.T, wasm []byte) {
	e, err := engine.New(engine.Config{Kind: engine.Compiler, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile(wasm, pages); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if most, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := os.Stdout.WriteString(strings.TrimSpace(most) + "\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
