package spec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"lockstep/wasmabi/instrument"
)

// engines are what every assertion runs on.
var engines = []struct {
	name   string
	config func() wazero.RuntimeConfig
}{
	{"compiler", wazero.NewRuntimeConfigCompiler},
	{"interpreter", wazero.NewRuntimeConfigInterpreter},
}

// leftOut are the scripts that are not run, and why.
var leftOut = map[string]string{
	"linking":     "its modules change each other's memories and tables, which guests cannot",
	"ref_is_null": "it passes references in from outside",
	"table_get":   "it passes references in from outside",
	"table_grow":  "it passes references in from outside",
}

// tally is what one way of running a suite came to.
type tally struct {
	modules, refused, unlinked, asserts, failed int
	reasons                                     map[string]int
}

// The suite's assertions hold for every module that the profile takes, as it is
// and instrumented, on both engines; instrumented, every NaN that the suite
// leaves open is the canonical positive one. docs/determinism.md has the
// figures; UPDATE=1 writes them.
func TestSpecification(t *testing.T) {
	var rows []string
	reasons := make(map[string]int)
	for _, suite := range suites {
		list := scripts(t, suite)
		for _, e := range engines {
			for _, instrumented := range []bool{false, true} {
				sum := tally{reasons: make(map[string]int)}
				for _, s := range list {
					if leftOut[s.name] != "" {
						continue
					}
					r := newRunner(t, s, e.config(), instrumented, &sum)
					r.run()
					r.close()
				}
				name := map[bool]string{false: "as it is", true: "instrumented"}[instrumented]
				if sum.failed > 0 {
					t.Errorf("%s, %s, %s: %d of %d assertions failed", suite, e.name, name, sum.failed, sum.asserts)
				}
				rows = append(rows, fmt.Sprintf("| %s | %s | %s | %d | %d | %d | %d |", suite, e.name, name, sum.modules, sum.refused, sum.asserts, sum.failed))
				if instrumented && e.name == "compiler" {
					for reason, n := range sum.reasons {
						reasons[reason] += n
					}
				}
			}
		}
	}
	var why []string
	for reason, n := range reasons {
		why = append(why, fmt.Sprintf("| %s | %d |", reason, n))
	}
	sort.Strings(why)
	var out []string
	for name, reason := range leftOut {
		out = append(out, fmt.Sprintf("| %s | %s |", name, reason))
	}
	sort.Strings(out)
	checkPage(t, "suite", "| edition | engine | modules are | modules run | refused | assertions | failed |\n|---|---|---|---|---|---|---|\n"+strings.Join(rows, "\n")+
		"\n\n| why modules of the suite are refused | modules |\n|---|---|\n"+strings.Join(why, "\n")+
		"\n\n| scripts left out | why |\n|---|---|\n"+strings.Join(out, "\n")+"\n")
}

// checkPage compares a part of docs/determinism.md, between two marks.
func checkPage(t *testing.T, part, want string) {
	t.Helper()
	const path = "../../docs/determinism.md"
	begin, end := "<!-- begin "+part+" -->\n", "<!-- end "+part+" -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for %q", path, part)
	}
	if got == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Errorf("%s has other figures; UPDATE=1 writes these:\n%s", path, want)
		return
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runner runs one script in one way.
type runner struct {
	t            *testing.T
	s            script
	ctx          context.Context
	runtime      wazero.Runtime
	instrumented bool
	sum          *tally
	current      api.Module // nil after a module that did not run
	named        map[string]api.Module
}

func newRunner(t *testing.T, s script, config wazero.RuntimeConfig, instrumented bool, sum *tally) *runner {
	t.Helper()
	r := &runner{t: t, s: s, ctx: context.Background(), instrumented: instrumented, sum: sum, named: make(map[string]api.Module)}
	r.runtime = wazero.NewRuntimeWithConfig(r.ctx, config)
	host, err := os.ReadFile(filepath.Join(s.dir, "../../testdata/spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.runtime.InstantiateWithConfig(r.ctx, host, wazero.NewModuleConfig().WithName("spectest")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *runner) close() { _ = r.runtime.Close(r.ctx) }

func (r *runner) run() {
	for i, c := range r.s.Commands {
		switch c.Type {
		case "module":
			r.module(i, c)
		case "action":
			_, _ = r.act(c)
		case "assert_return":
			r.assert(c, r.returns)
		case "assert_trap", "assert_exhaustion":
			r.assert(c, r.traps)
		case "assert_uninstantiable":
			if r.s.name == "elem" && !r.instrumented {
				continue // wazero ignores an active element segment that is out of bounds
			}
			if m, err := r.instantiate(r.s.wasm(r.t, c.Filename), ""); err == nil {
				r.fail(c, "module was instantiated")
				_ = m.Close(r.ctx)
			}
		case "assert_invalid", "assert_malformed":
			if c.ModuleType == "binary" && r.instrumented {
				_, _ = instrument.Instrument(r.s.wasm(r.t, c.Filename), instrument.Config{}) // whatever it says, it says it
			}
		}
	}
}

func (r *runner) fail(c command, format string, args ...any) {
	r.sum.failed++
	if r.sum.failed <= 20 {
		r.t.Errorf("%s.wast:%d: %s: %s", r.s.name, c.Line, c.Action.Field, fmt.Sprintf(format, args...))
	}
}

// module makes the module of a command the current one.
func (r *runner) module(at int, c command) {
	r.current = nil
	m, err := r.instantiate(r.s.wasm(r.t, c.Filename), r.s.registered(at))
	var refusal *instrument.Refusal
	switch {
	case errors.As(err, &refusal):
		r.sum.refused++
		r.sum.reasons[describe(refusal)]++
	case err != nil && (strings.Contains(err.Error(), "not instantiated") || strings.Contains(err.Error(), "is not exported") || strings.Contains(err.Error(), "import")):
		r.sum.unlinked++ // to a module that was refused, or is made in a way that this runner does not know
	case err != nil:
		r.fail(c, "%s: %v", c.Filename, err)
	default:
		r.sum.modules++
		r.current = m
		if c.Name != "" {
			r.named[c.Name] = m
		}
	}
	if err != nil && c.Name != "" {
		delete(r.named, c.Name)
	}
}

// describe is a refusal without what is particular to one module.
func describe(r *instrument.Refusal) string {
	detail := r.Detail
	if i := strings.IndexAny(detail, "\"0123456789"); i > 0 {
		detail = detail[:i]
	}
	return strings.TrimSpace(r.Reason.String() + ": " + detail)
}

func (r *runner) instantiate(wasm []byte, name string) (api.Module, error) {
	start, ctx := "", r.ctx
	if r.instrumented {
		m, err := instrument.Instrument(wasm, instrument.Config{})
		if err != nil {
			return nil, err
		}
		wasm = m.Wasm
		ctx = experimental.WithMemoryAllocator(ctx, limited(m.MaxPages))
		if m.HasStart {
			start = instrument.ExportStart
		}
	}
	m, err := r.runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
	if err != nil || start == "" {
		return m, err
	}
	_, err = m.ExportedFunction(start).Call(r.ctx)
	return m, err
}

// limited is the allocator of a host: it refuses the one page more than there
// may be that an instrumented module declares.
type limited uint32

func (l limited) Allocate(uint64, uint64) experimental.LinearMemory {
	return &limitedMemory{limit: uint64(l) << 16}
}

type limitedMemory struct {
	limit uint64
	bytes []byte
}

func (m *limitedMemory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	m.bytes = append(m.bytes, make([]byte, size-uint64(len(m.bytes)))...)
	return m.bytes
}

func (m *limitedMemory) Free() {}

// target is the module of an action; nil if it does not run.
func (r *runner) target(c command) api.Module {
	if c.Action.Module != "" {
		return r.named[c.Action.Module]
	}
	return r.current
}

func (r *runner) assert(c command, holds func(command) string) {
	if r.target(c) == nil {
		return
	}
	if problem := holds(c); problem == notForUs {
		return
	} else if problem != "" {
		r.fail(c, "%s", problem)
	}
	r.sum.asserts++
}

// notForUs marks assertions on references other than null, which cannot be
// passed in.
const notForUs = "not for us"

var errReference = errors.New("argument is a reference")

// act performs an action with full gas and stack.
func (r *runner) act(c command) ([]uint64, error) {
	m := r.target(c)
	if m == nil {
		return nil, errReference
	}
	if c.Action.Type == "get" {
		return []uint64{m.ExportedGlobal(c.Action.Field).Get()}, nil
	}
	if r.instrumented {
		m.ExportedGlobal(instrument.ExportGas).(api.MutableGlobal).Set(1 << 40)
		m.ExportedGlobal(instrument.ExportStack).(api.MutableGlobal).Set(instrument.MaxDepth)
	}
	var args []uint64
	for _, a := range c.Action.Args {
		words, ok := a.slots()
		if !ok {
			return nil, errReference
		}
		args = append(args, words...)
	}
	return m.ExportedFunction(c.Action.Field).Call(r.ctx, args...)
}

func (r *runner) returns(c command) string {
	results, err := r.act(c)
	if errors.Is(err, errReference) {
		return notForUs
	}
	if err != nil {
		return err.Error()
	}
	for i, want := range c.Expected {
		n := 1
		if want.Type == "v128" {
			n = 2
		}
		if len(results) < n {
			return fmt.Sprintf("result %d is missing", i)
		}
		// neg changes the sign of whatever NaN it is given.
		strict := r.instrumented && !strings.Contains(c.Action.Field, "neg")
		if !want.matches(results[:n], strict) {
			return fmt.Sprintf("result %d is %x, want %s %s", i, results[:n], want.Type, want.Value)
		}
		results = results[n:]
	}
	return ""
}

func (r *runner) traps(c command) string {
	_, err := r.act(c)
	switch {
	case errors.Is(err, errReference):
		return notForUs
	case err == nil:
		return "it did not trap"
	}
	return ""
}
