package instrument_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"lockstep/wasmabi/instrument"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// The modules are those that build.sh made of the text beside them.
func TestDigests(t *testing.T) {
	sums, err := os.ReadFile("testdata/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not what SHA256SUMS lists: run build.sh", name)
		}
	}
	if files, _ := filepath.Glob("testdata/*.w*"); len(files) != len(lines) {
		t.Errorf("SHA256SUMS lists %d of %d files", len(lines), len(files))
	}
}

func instrumented(t testing.TB, wasm []byte) *instrument.Module {
	t.Helper()
	m, err := instrument.Instrument(wasm, instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var engines = map[string]func() wazero.RuntimeConfig{
	"compiler": wazero.NewRuntimeConfigCompiler, "interpreter": wazero.NewRuntimeConfigInterpreter,
}

// instance is a module on one engine.
type instance struct {
	t testing.TB
	api.Module
}

func run(t testing.TB, config wazero.RuntimeConfig, wasm []byte) instance {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() { _ = r.Close(ctx) })
	m, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return instance{t, m}
}

func (i instance) call(name string, args ...uint64) (uint32, error) {
	i.t.Helper()
	results, err := i.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return uint32(results[0]), nil
}

func (i instance) must(name string, args ...uint64) uint32 {
	i.t.Helper()
	v, err := i.call(name, args...)
	if err != nil {
		i.t.Errorf("%s(%v): %v", name, args, err)
	}
	return v
}

func (i instance) set(global string, v uint64) {
	i.ExportedGlobal(global).(api.MutableGlobal).Set(v)
}

// metered sets the gas and the stack as a host does, calls, and returns what was used.
func (i instance) metered(name string, args ...uint64) (v uint32, used int64, err error) {
	const limit = 1_000_000
	i.set(instrument.ExportGas, limit)
	i.set(instrument.ExportStack, instrument.MaxDepth)
	v, err = i.call(name, args...)
	return v, limit - int64(i.ExportedGlobal(instrument.ExportGas).Get()), err
}

func (i instance) stack() int32 { return int32(i.ExportedGlobal(instrument.ExportStack).Get()) }

// wazero v1.12.0's compiler takes `0 < (x & y)` the wrong way as the condition
// of a branch, and on arm64 unsigned orders of `x & y` and 0 too. When this test says that it no longer does, the rewriting can go,
// in a new profile.
func TestBranchMiscompile(t *testing.T) {
	raw := read(t, "branch")
	conditions := map[string]func(x, y int32) bool{
		"if_lt_s": func(x, y int32) bool { return 0 < x&y }, "if_gt_s": func(x, y int32) bool { return 0 > x&y },
		"if_le_u": func(x, y int32) bool { return true }, "br_if_lt_s": func(x, y int32) bool { return 0 < x&y },
		"zero_local": func(x, y int32) bool { return 0 < x&y }, "condition_local": func(x, y int32) bool { return 0 < x&y },
		"i64":        func(x, y int32) bool { return 0 < x&y },
		"right_lt_u": func(x, y int32) bool { return false }, "right_ge_u": func(x, y int32) bool { return true },
		"right_gt_u": func(x, y int32) bool { return x&y != 0 }, "right_le_u": func(x, y int32) bool { return x&y == 0 },
		"right_lt_s": func(x, y int32) bool { return x&y < 0 }, "right_gt_s": func(x, y int32) bool { return x&y > 0 },
	}
	// The compiler looks at one block only. The test of flags on amd64 leaves those of a comparison with zero, that on arm64 all but the carry.
	spared := []string{"block", "block_params", "br_with_value", "loop", "right_lt_s", "right_gt_s"}
	if runtime.GOARCH == "arm64" {
		spared = append(spared, "if_le_u")
	} else {
		spared = append(spared, "right_lt_u", "right_ge_u", "right_gt_u", "right_le_u")
	}
	for _, name := range []string{"set_zero", "tee_and", "shift", "shifted_condition", "block", "block_params", "br_with_value", "loop"} {
		conditions[name] = func(x, y int32) bool { return 0 < x&y }
	}
	operands := []int32{0, 1, 2, 7, -1, -8, math.MaxInt32, math.MinInt32}
	wrong := func(i instance) (names []string) {
		for name, holds := range conditions {
			for _, x := range operands {
				for _, y := range operands {
					want := map[bool]uint32{true: 1}[holds(x, y)]
					if i.must(name, api.EncodeI32(x), api.EncodeI32(y)) != want && !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
		}
		return names
	}
	if got := wrong(run(t, wazero.NewRuntimeConfigInterpreter(), raw)); len(got) > 0 {
		t.Fatalf("the interpreter is wrong too: %v", got)
	}
	if got := wrong(run(t, wazero.NewRuntimeConfigCompiler(), raw)); len(got) == 0 {
		t.Error("the compiler gets the raw module right: the bug is mended upstream")
	} else if len(got) != len(conditions)-len(spared) {
		slices.Sort(got)
		t.Errorf("the compiler gets %v wrong, want all but %v", got, spared)
	}
	for name, config := range engines {
		if got := wrong(run(t, config(), instrumented(t, raw).Wasm)); len(got) > 0 {
			t.Errorf("%s gets the instrumented module wrong: %v", name, got)
		}
	}
}

// wazero v1.12.0's compiler gives garbage for a select of floats or vectors on amd64 where the first was on the stack. When
// this test says that it no longer does, the rewriting can go, in a new profile.
func TestSelectMiscompile(t *testing.T) {
	raw := read(t, "select")
	const first = 0x08070605
	second := map[string]uint32{"f32": 0x40400000, "f64": 0x40080000, "v128": 3, "ordered": 0x40080000}
	wrong := func(i instance) (names []string) {
		for name, second := range second {
			for c, want := range []uint32{second, first} {
				if _, err := i.call(name, uint64(c)); err == nil {
					t.Errorf("%s(%d) came to its end", name, c)
				}
				if i.must("stored") != want && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
		return names
	}
	if got := wrong(run(t, wazero.NewRuntimeConfigInterpreter(), raw)); len(got) > 0 {
		t.Fatalf("the interpreter is wrong too: %v", got)
	}
	if got := wrong(run(t, wazero.NewRuntimeConfigCompiler(), raw)); runtime.GOARCH == "amd64" && fmt.Sprint(got) != "[f32 f64 v128]" {
		t.Errorf("the compiler gets the raw module's %v wrong, want f32, f64 and v128", got)
	}
	for name, config := range engines {
		if got := wrong(run(t, config(), instrumented(t, raw).Wasm)); len(got) > 0 {
			t.Errorf("%s gets the instrumented module wrong: %v", name, got)
		}
	}
}

// Gas bounds loops and recursion, equally on both engines, to the unit.
func TestGas(t *testing.T) {
	wasm := instrumented(t, read(t, "run")).Wasm
	used := make(map[string]string)
	for name, config := range engines {
		i := run(t, config(), wasm)
		var figures []string
		for _, c := range []struct {
			name string
			arg  uint64
		}{{"sum", 1}, {"sum", 10}, {"sum", 1000}, {"even", 100}, {"fill", 8}, {"fill", 65536}, {"fill", 65537}, {"copy", 800}, {"grow", 1}, {"grow", 1 << 31}, {"return_deep", 0}, {"return_deep", 2}} {
			args := []uint64{c.arg}
			_, gas, err := i.metered(c.name, args...)
			figures = append(figures, fmt.Sprint(c.name, c.arg, ":", gas, err != nil))
		}
		if _, gas, err := i.metered("endless"); err == nil || gas <= 1_000_000 {
			t.Errorf("%s: endless loop ends with %v, %d gas used of 1,000,000", name, err, gas)
		}
		_, one, _ := i.metered("sum", 1)
		_, many, _ := i.metered("sum", 101)
		if perTurn := (many - one) / 100; perTurn < 5 || perTurn > 12 {
			t.Errorf("%s: a turn of a loop of 7 instructions costs %d", name, perTurn)
		}
		_, short, _ := i.metered("fill", 8)
		_, long, _ := i.metered("fill", 8008)
		if long-short != 1000 {
			t.Errorf("%s: 8,000 more bytes cost %d, want 1,000", name, long-short)
		}
		used[name] = strings.Join(figures, " ")
	}
	if used["compiler"] != used["interpreter"] {
		t.Errorf("gas differs:\n%s\n%s", used["compiler"], used["interpreter"])
	}
}

// Recursion ends at the bound, the same on both engines, and the way out of
// every function gives back what it took.
func TestStack(t *testing.T) {
	wasm := instrumented(t, read(t, "run")).Wasm
	for name, config := range engines {
		i := run(t, config(), wasm)
		if _, _, err := i.metered("recurse", 0); err == nil || i.stack() >= 0 {
			t.Errorf("%s: endless recursion ends with %v, stack %d", name, err, i.stack())
		}
		if v, _, err := i.metered("even", instrument.MaxDepth-10); err != nil || v != 1 {
			t.Errorf("%s: %d calls deep: %d, %v", name, instrument.MaxDepth-10, v, err)
		}
		if _, _, err := i.metered("even", instrument.MaxDepth+10); err == nil || i.stack() >= 0 {
			t.Errorf("%s: indirect recursion over the bound ends with %v, stack %d", name, err, i.stack())
		}
		for _, c := range []struct {
			name string
			args []uint64
			want uint32
		}{
			{"return_deep", []uint64{0}, 11}, {"return_deep", []uint64{1}, 33}, {"return_deep", []uint64{2}, 22}, {"return_deep", []uint64{3}, 44},
			{"br_out", []uint64{1}, 77}, {"br_out", []uint64{0}, 88}, {"pair", nil, math.MaxUint32}, {"after", nil, 3}, {"even", []uint64{7}, 0}, {"even", []uint64{8}, 1},
		} {
			v, _, err := i.metered(c.name, c.args...)
			if err != nil || v != c.want {
				t.Errorf("%s: %s(%v) = %d, %v, want %d", name, c.name, c.args, v, err, c.want)
			}
			if i.stack() != instrument.MaxDepth {
				t.Errorf("%s: after %s(%v) the stack is %d of %d", name, c.name, c.args, i.stack(), instrument.MaxDepth)
			}
		}
	}
}

// Bug 3 of docs/engine-bugs.md is not got round: on arm64 a remainder for which the compiler has no register
// is garbage, which is why engine.Auto is the interpreter there.
func TestRemainder(t *testing.T) {
	const x, y, n = 1000, 13, 24
	sum := uint32(0)
	for i := range uint32(n) {
		sum += (x + i) % y
	}
	for name, config := range engines {
		for _, wasm := range [][]byte{read(t, "rem"), instrumented(t, read(t, "rem")).Wasm} {
			right := name != "compiler" || runtime.GOARCH != "arm64" // that it is wrong tells when it is mended
			i := run(t, config(), wasm)
			for _, export := range []string{"i32", "i64"} {
				if got := i.must(export, x, y); (got == sum) != right {
					t.Errorf("%s: %s gives %d; the sum is %d, and the engine known to be right: %v", name, export, got, sum, right)
				}
			}
		}
	}
}

// Every NaN whose bits Wasm leaves open is the canonical one; bits that are only
// moved stay.
func TestNaN(t *testing.T) {
	wasm := instrumented(t, read(t, "nan")).Wasm
	operands := []uint32{0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fe12345, 0x7f800000, 0xff800000, 0, 0x80000000, 0x3f800000}
	isNaN := func(b uint32) bool { return math.Float32frombits(b) != math.Float32frombits(b) }
	for name, config := range engines {
		i := run(t, config(), wasm)
		seen := make(map[string]int)
		for export := range i.ExportedFunctionDefinitions() {
			for _, x := range operands {
				for _, y := range operands {
					v := i.must(export, uint64(x), uint64(y))
					if strings.HasPrefix(export, "moved") {
						if want := x ^ map[string]uint32{"moved.neg": 1 << 31}[export]; v != want {
							t.Errorf("%s: %s(%08x) = %08x, want %08x", name, export, x, v, want)
						}
						continue
					}
					canonical := uint32(0x7fc00000)
					nan := isNaN(v)
					if strings.HasPrefix(export, "f64") { // the upper half of an f64
						canonical = 0x7ff80000
						nan = v&0x7ff00000 == 0x7ff00000 && v&0xfffff != 0
					}
					if nan {
						seen[export]++
						if v != canonical {
							t.Errorf("%s: %s(%08x, %08x) = %08x", name, export, x, y, v)
						}
					}
				}
			}
			if !strings.HasPrefix(export, "moved") && seen[export] == 0 {
				t.Errorf("%s made no NaN: the test tests nothing", export)
			}
		}
	}
}

func TestStateIsExposed(t *testing.T) {
	m := instrumented(t, read(t, "run"))
	if fmt.Sprint(m.Globals) != "[{lockstep:global:0 127 0} {lockstep:global:1 126 1} {lockstep:global:2 125 2}]" {
		t.Errorf("globals are %v", m.Globals)
	}
	if !m.HasStart || !m.HasMemory || m.InitialPages != 1 || m.MaxPages != 4 {
		t.Errorf("module is %+v", m)
	}
	for name, config := range engines {
		i := run(t, config(), m.Wasm)
		if v := i.must("global"); v != 7 {
			t.Errorf("%s: the start function ran by itself: %d", name, v)
		}
		i.must(instrument.ExportStart)
		if v := i.must("global"); v != 9 {
			t.Errorf("%s: the start function did not run: %d", name, v)
		}
		i.set("lockstep:global:0", 42)
		if v := i.must("global"); v != 42 {
			t.Errorf("%s: a global that was set is %d", name, v)
		}
	}
}

func TestSameBytes(t *testing.T) {
	for _, name := range []string{"run", "nan", "branch"} {
		a, b := instrumented(t, read(t, name)), instrumented(t, read(t, name))
		if !bytes.Equal(a.Wasm, b.Wasm) {
			t.Errorf("%s: two rewritings differ", name)
		}
		if _, err := instrument.Instrument(a.Wasm, instrument.Config{}); err == nil {
			t.Errorf("%s: an instrumented module was instrumented again", name)
		}
	}
}

func refusalOf(t *testing.T, wasm []byte, contract bool) *instrument.Refusal {
	t.Helper()
	_, err := instrument.Instrument(wasm, instrument.Config{Contract: contract, MaxMemoryPages: 16})
	var r *instrument.Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatalf("error is %T, want *Refusal: %v", err, err)
	}
	return r
}

// section and vector build modules for what no assembler makes.
func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

func section(id byte, content ...byte) []byte {
	return append([]byte{id, byte(len(content))}, content...)
}

var (
	nullary    = section(1, 1, 0x60, 0, 0)
	oneFunc    = section(3, 1, 0)
	onePage    = section(5, 1, 0, 1)
	returnsI32 = section(1, 1, 0x60, 0, 1, 0x7f)
)

func code(body ...byte) []byte {
	return section(10, append([]byte{1, byte(len(body) + 2), 0}, append(body, 0x0b)...)...)
}

func export(name string, kind byte) []byte {
	return section(7, append(append([]byte{1, byte(len(name))}, name...), kind, 0)...)
}

// named is a section that names function 0.
func named(name string) []byte {
	names := append([]byte{1, 0}, sized([]byte(name))...)
	return long(0, append(append([]byte("\x04name\x01"), byte(len(names))), names...))
}

func TestRefusals(t *testing.T) {
	f := func(body ...byte) []byte { return module(nullary, oneFunc, code(body...)) }
	for name, c := range map[string]struct {
		wasm     []byte
		contract bool
		reason   instrument.Reason
		says     string
		fn, at   int // function, offset
	}{
		"nothing":                {nil, false, instrument.NotWasm, "not a WebAssembly module", -1, 0x0},
		"text":                   {[]byte("(module)"), false, instrument.NotWasm, "does not begin", -1, 0x0},
		"component":              {[]byte("\x00asm\x0d\x00\x01\x00"), false, instrument.NotWasm, "components are not guests", -1, 0x0},
		"cut":                    {read(t, "run")[:100], false, instrument.Malformed, "offset", -1, 0x63},
		"left over":              {module(section(5, 1, 0, 1, 9)), false, instrument.Malformed, "left over", -1, 0xd},
		"out of order":           {module(onePage, oneFunc), false, instrument.Malformed, "out of order", -1, 0xd},
		"twice":                  {module(onePage, onePage), false, instrument.Malformed, "out of order", -1, 0xd},
		"imported memory":        {module(section(2, 1, 1, 'a', 1, 'b', 2, 0, 1)), false, instrument.Forbidden, `import of memory "a"."b"`, -1, 0x10},
		"imported table":         {module(section(2, 1, 1, 'a', 1, 'b', 1, 0x70, 0, 1)), false, instrument.Forbidden, "import of table", -1, 0x10},
		"imported global":        {module(section(2, 1, 1, 'a', 1, 'b', 3, 0x7f, 0)), false, instrument.Forbidden, "import of global", -1, 0x10},
		"two memories":           {module(section(5, 2, 0, 1, 0, 1)), false, instrument.Forbidden, "more than one memory", -1, 0xb},
		"shared memory":          {module(section(5, 1, 3, 1, 1)), false, instrument.Forbidden, "shared", -1, 0xc},
		"64-bit memory":          {module(section(5, 1, 4, 1)), false, instrument.Forbidden, "64-bit", -1, 0xc},
		"too much memory":        {module(section(5, 1, 0, 17)), false, instrument.TooMuchMemory, "17 pages, want at most 16", -1, 0xa},
		"mutable vector":         {module(section(6, 1, 0x7b, 1, 0x0b)), false, instrument.Forbidden, "mutable global", -1, 0xd},
		"mutable reference":      {module(section(6, 1, 0x70, 1, 0xd0, 0x70, 0x0b)), false, instrument.Forbidden, "mutable global", -1, 0xd},
		"data out of bounds":     {module(onePage, section(11, 1, 0, 0x41, 0xff, 0xff, 3, 0x0b, 2, 1, 2)), false, instrument.OutOfBounds, "data segment", -1, 0x19},
		"elem out of bounds":     {module(nullary, oneFunc, section(4, 1, 0x70, 0, 1), section(9, 1, 0, 0x41, 1, 0x0b, 1, 0), code()), false, instrument.OutOfBounds, "element segment", -1, 0x21},
		"reserved export":        {module(onePage, export("lockstep:gas", 2)), false, instrument.ReservedExport, "lockstep:gas", -1, 0x10},
		"exported table":         {module(section(4, 1, 0x70, 0, 1), export("t", 1)), false, instrument.Forbidden, "export of table", -1, 0x11},
		"table.set":              {module(nullary, oneFunc, code(0x41, 0, 0xd0, 0x70, 0x26, 0)), false, instrument.Forbidden, "table.set", 0, 0x1b},
		"ref.func":               {module(nullary, oneFunc, code(0xd2, 0, 0x1a)), false, instrument.Forbidden, "ref.func", 0, 0x17},
		"table.grow":             {module(nullary, oneFunc, code(0xfc, 15, 0)), false, instrument.Forbidden, "table.grow", 0, 0x17},
		"data.drop":              {module(nullary, oneFunc, code(0xfc, 9, 0)), false, instrument.Invalid, "data segment 0 does not exist", 0, 0x17},
		"atomics":                {module(nullary, oneFunc, code(0xfe, 0x10, 2, 0)), false, instrument.Forbidden, "atomic", 0, 0x17},
		"tail call":              {module(nullary, oneFunc, code(0x12, 0)), false, instrument.Forbidden, "return_call", 0, 0x17},
		"exceptions":             {module(nullary, oneFunc, code(0x06, 0x40, 0x0b)), false, instrument.Forbidden, "try", 0, 0x17},
		"relaxed SIMD":           {module(nullary, oneFunc, code(0xfd, 0x80, 2)), false, instrument.Forbidden, "instruction", 0, 0x17},
		"function named":         {module(nullary, oneFunc, code(0xd2, 0, 0x1a)), false, instrument.Forbidden, "function 0", 0, 0x17},
		"no memory exported":     {module(nullary, oneFunc, onePage, code()), true, instrument.MissingExport, "exports its memory", -1, 0x0},
		"no apply":               {module(nullary, oneFunc, onePage, export("memory", 2), code()), true, instrument.MissingExport, "lockstep_apply() -> (i32)", -1, 0x0},
		"unknown import":         {module(nullary, section(2, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 0)), true, instrument.UnknownImport, "env.f", -1, 0x11},
		"another contract":       {module(nullary, section(2, 1, 11, 'l', 'o', 'c', 'k', 's', 't', 'e', 'p', '_', 'v', '2', 1, 'f', 0, 0)), true, instrument.UnknownImport, "version 1", -1, 0x11},
		"unknown function":       {module(nullary, section(2, 1, 11, 'l', 'o', 'c', 'k', 's', 't', 'e', 'p', '_', 'v', '1', 1, 'f', 0, 0)), true, instrument.UnknownImport, "no such function", -1, 0x11},
		"import of type":         {module(nullary, section(2, 1, 11, 'l', 'o', 'c', 'k', 's', 't', 'e', 'p', '_', 'v', '1', 4, 't', 'i', 'm', 'e', 0, 0)), true, instrument.WrongType, "time() -> (i64)", -1, 0x11},
		"locals bomb":            {module(nullary, oneFunc, section(10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 15, 0x7f, 0x0b)), false, instrument.TooMany, "locals", 0, 0x1d},
		"count beyond module":    {module(section(1, 5)), false, instrument.Malformed, "runs past", -1, 0xb},
		"types bomb":             {module(section(1, 0xff, 0xff, 0xff, 0xff, 15)), false, instrument.TooMany, "types", -1, 0xf},
		"unknown section":        {module(section(14)), false, instrument.Malformed, "unknown section 14", -1, 0x8},
		"tags":                   {module(section(13)), false, instrument.Forbidden, "no exceptions", -1, 0x8},
		"no bodies":              {module(nullary, oneFunc), false, instrument.Malformed, "functions and bodies differ", -1, 0x12},
		"cut integer":            {module(section(3, 1, 0x80)), false, instrument.Malformed, "unexpected end", -1, 0xc},
		"long integer":           {module(section(5, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0)), false, instrument.Malformed, "integer is too long", -1, 0x11},
		"large integer":          {module(section(5, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x1f)), false, instrument.Malformed, "larger than 32 bits", -1, 0x11},
		"long constant":          {module(section(6, 1, 0x7f, 0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x0b)), false, instrument.Malformed, "integer is too long", -1, 0x13},
		"value type":             {module(section(1, 1, 0x60, 1, 0x6e, 0)), false, instrument.Forbidden, "value type 0x6e", -1, 0xe},
		"struct":                 {module(section(1, 1, 0x5f, 0)), false, instrument.Forbidden, "only functions", -1, 0xc},
		"type of a function":     {module(section(3, 1, 0)), false, instrument.Malformed, "type does not exist", -1, 0xc},
		"table type":             {module(section(4, 1, 0x6e, 0, 0)), false, instrument.Forbidden, "table of type 0x6e", -1, 0xc},
		"64-bit table":           {module(section(4, 1, 0x70, 4, 0)), false, instrument.Forbidden, "shared or 64-bit table", -1, 0xd},
		"global type":            {module(section(6, 1, 0x6e, 0, 0x0b)), false, instrument.Forbidden, "global of type 0x6e", -1, 0xc},
		"mutability":             {module(section(6, 1, 0x7f, 2, 0x41, 0, 0x0b)), false, instrument.Malformed, "mutability", -1, 0xd},
		"vector in a constant":   {module(section(6, 1, 0x7b, 0, 0xfd, 0, 0x0b)), false, instrument.Forbidden, "in a constant expression", -1, 0xf},
		"division in a constant": {module(section(6, 1, 0x7f, 0, 0x6d, 0x0b)), false, instrument.Forbidden, "instruction 0x6d in a constant", -1, 0xe},
		"mutable in a constant":  {module(section(6, 2, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 0, 0x23, 0, 0x0b)), false, instrument.Invalid, "global that is not constant", -1, 0x14},
		"element kind":           {module(section(9, 1, 8)), false, instrument.Malformed, "kind of element segment", -1, 0xc},
		"element offset":         {module(section(4, 1, 0x70, 0, 1), section(9, 1, 0, 0x42, 0, 0x0b, 0)), false, instrument.Invalid, "offset of an element segment", -1, 0x15},
		"element":                {module(section(9, 1, 5, 0x70, 1, 0x41, 0, 0x0b)), false, instrument.Forbidden, "neither ref.func nor ref.null", -1, 0xf},
		"element without end":    {module(section(9, 1, 5, 0x70, 1, 0xd2, 0, 0)), false, instrument.Malformed, "does not end", -1, 0x11},
		"data kind":              {module(onePage, section(11, 1, 3)), false, instrument.Malformed, "kind of data segment", -1, 0x11},
		"data for memory 1":      {module(onePage, section(11, 1, 2, 1, 0x41, 0, 0x0b, 0)), false, instrument.Forbidden, "more than one memory", -1, 0x12},
		"data offset":            {module(onePage, section(11, 1, 0, 0x42, 0, 0x0b, 0)), false, instrument.Invalid, "offset of a data segment", -1, 0x15},
		"data without memory":    {module(section(11, 1, 0, 0x41, 0, 0x0b, 0)), false, instrument.OutOfBounds, "data segment", -1, 0x10},
		"memory maximum":         {module(section(5, 1, 1, 2, 1)), false, instrument.Invalid, "below its minimum", -1, 0xa},
		"start":                  {module(returnsI32, oneFunc, section(8, 0), code(0x41, 0)), false, instrument.Invalid, "start function", -1, 0x15},
		"start of nothing":       {module(section(8, 0)), false, instrument.Invalid, "start function", -1, 0xa},
		"local type":             {module(nullary, oneFunc, section(10, 1, 4, 1, 1, 0x6e, 0x0b)), false, instrument.Forbidden, "local of type 0x6e", 0, 0x19},
		"behind the end":         {f(0x0b), false, instrument.Malformed, "code after the end", 0, 0x17},
		"no operand":             {f(0x1a), false, instrument.Invalid, "operand is missing", 0, 0x17},
		"wrong operand":          {f(0x42, 0, 0x45, 0x1a), false, instrument.Invalid, "operand has type 0x7e, want 0x7f", 0, 0x19},
		"left operand":           {f(0x41, 0), false, instrument.Invalid, "1 operands are left over", 0, 0x19},
		"label":                  {f(0x0c, 1), false, instrument.Invalid, "label 1 of 1", 0, 0x17},
		"block type":             {f(0x02, 0x6e, 0x0b), false, instrument.Invalid, "block of type 0x6e", 0, 0x17},
		"type of a block":        {f(0x02, 1, 0x0b), false, instrument.Invalid, "type 1 of a block", 0, 0x17},
		"else":                   {f(0x05), false, instrument.Invalid, "else without if", 0, 0x17},
		"if without else":        {f(0x41, 0, 0x04, 0x7f, 0x41, 0, 0x0b, 0x1a), false, instrument.Invalid, "needs an else", 0, 0x1d},
		"labels that differ":     {f(0x02, 0x7f, 0x41, 0, 0x41, 0, 0x0e, 1, 0, 1, 0x0b, 0x1a), false, instrument.Invalid, "carry 1 and 0 operands", 0, 0x1d},
		"call":                   {f(0x10, 1), false, instrument.Invalid, "call of function 1", 0, 0x17},
		"type of a call":         {f(0x41, 0, 0x11, 1, 0), false, instrument.Invalid, "type 1 does not exist", 0, 0x19},
		"table of a call":        {f(0x41, 0, 0x11, 0, 0), false, instrument.Invalid, "table 0 of functions", 0, 0x19},
		"select of references":   {f(0xd0, 0x70, 0xd0, 0x70, 0x41, 0, 0x1b, 0x1a), false, instrument.Invalid, "select of references", 0, 0x1d},
		"select of no type":      {f(0x1c, 0), false, instrument.Invalid, "select of no type", 0, 0x17},
		"local":                  {f(0x20, 0, 0x1a), false, instrument.Invalid, "local 0 of 0", 0, 0x17},
		"global":                 {f(0x23, 0, 0x1a), false, instrument.Invalid, "global 0 does not exist", 0, 0x17},
		"constant global":        {module(nullary, oneFunc, section(6, 1, 0x7f, 0, 0x41, 0, 0x0b), code(0x41, 0, 0x24, 0)), false, instrument.Invalid, "global 0 is not mutable", 0, 0x21},
		"table.get":              {f(0x41, 0, 0x25, 0, 0x1a), false, instrument.Invalid, "table 0 does not exist", 0, 0x19},
		"null of a number":       {f(0xd0, 0x7f, 0x1a), false, instrument.Invalid, "reference of type 0x7f", 0, 0x17},
		"ref.is_null":            {f(0x41, 0, 0xd1, 0x1a), false, instrument.Invalid, "want a reference", 0, 0x19},
		"no memory":              {f(0x3f, 0, 0x1a), false, instrument.Invalid, "no memory", 0, 0x17},
		"elem.drop":              {f(0xfc, 13, 0), false, instrument.Forbidden, "elem.drop", 0, 0x17},
		"table.init":             {f(0xfc, 12, 0, 0), false, instrument.Forbidden, "table.init", 0, 0x17},
		"table.copy":             {f(0xfc, 14, 0, 0), false, instrument.Forbidden, "table.copy", 0, 0x17},
		"table.fill":             {f(0xfc, 17, 0), false, instrument.Forbidden, "table.fill", 0, 0x17},
		"gc":                     {f(0xfb, 0, 0), false, instrument.Forbidden, "gc", 0, 0x17},
		"return_call_indirect":   {f(0x13, 0, 0), false, instrument.Forbidden, "return_call_indirect", 0, 0x17},
		"throw":                  {f(0x08, 0), false, instrument.Forbidden, "throw", 0, 0x17},
		"function by its name":   {module(nullary, section(2, 1, 1, 'a', 1, 'b', 0, 0), oneFunc, code(0xd2, 0, 0x1a), section(0, append([]byte{4}, "name\x01\x04\x01\x01\x01f"...)...)), false, instrument.Forbidden, `(function 1 "f", offset`, 1, 0x20},
		"named again":            {module(nullary, oneFunc, code(0xd2, 0, 0x1a), named("first"), named("second")), false, instrument.Forbidden, `(function 0 "second", offset`, 0, 0x17},
	} {
		t.Run(name, func(t *testing.T) {
			r := refusalOf(t, c.wasm, c.contract)
			if r == nil {
				t.Fatal("accepted")
			}
			if r.Reason != c.reason || !strings.Contains(r.Error(), c.says) {
				t.Errorf("refused with %v, %q; want %v and %q", r.Reason, r, c.reason, c.says)
			}
			if r.Func != c.fn || r.Offset != c.at {
				t.Errorf("%q, want function %d and offset %#x", r, c.fn, c.at)
			}
		})
	}
	apply := module(returnsI32, oneFunc, onePage, section(7, append(append([]byte{2, 6}, "memory\x02\x00\x0e"...), "lockstep_apply\x00\x00"...)...), code(0x41, 0))
	if r := refusalOf(t, apply, true); r != nil {
		t.Errorf("the smallest guest is refused: %v", r)
	}
	wrong := bytes.Replace(apply, returnsI32, section(1, 1, 0x60, 0, 1, 0x7e), 1)
	if r := refusalOf(t, wrong, true); r == nil || r.Reason != instrument.WrongType {
		t.Errorf("lockstep_apply of another type: %v", r)
	}
}

func leb(n int) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// Whatever the bytes: no panic, and a module that wazero takes as it is and
// that is not refused validates instrumented too.
func FuzzInstrument(f *testing.F) {
	for _, name := range []string{"run", "nan", "branch"} {
		f.Add(read(f, name))
	}
	kernels, err := filepath.Glob("../../tests/overhead/kernels/*.wasm")
	if err != nil || len(kernels) < 10 {
		f.Fatalf("%d kernels, %v", len(kernels), err)
	}
	for _, name := range kernels {
		wasm, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { _ = r.Close(ctx) })
	f.Fuzz(func(t *testing.T, wasm []byte) {
		// What it takes is bounded by the size, and for what a few bytes can declare
		// (locals, tables of names) by a constant.
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		m, err := instrument.Instrument(wasm, instrument.Config{})
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 64<<20+1000*uint64(len(wasm)) || took > 10*time.Second {
			t.Errorf("%d bytes took %d bytes of memory and %v", len(wasm), bytes, took)
		}
		if err != nil {
			return
		}
		if len(m.Wasm) > 4096+40*len(wasm) {
			t.Errorf("%d bytes became %d", len(wasm), len(m.Wasm))
		}
		raw, err := r.CompileModule(ctx, wasm)
		if err != nil {
			return
		}
		_ = raw.Close(ctx)
		out, err := r.CompileModule(ctx, m.Wasm)
		if err != nil {
			t.Fatalf("valid raw, and instrumented: %v", err)
		}
		_ = out.Close(ctx)
	})
}
