package overhead

import (
	"context"
	"embed"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"lockstep/guests/examples/kv"
	"lockstep/wasmabi/instrument"
)

//go:embed kernels/*.wasm
var kernels embed.FS

// kernel is a program that is run with and without instrumentation.
type kernel struct {
	name  string
	float bool
	n     uint64 // turns of one run, for some 3 ms
}

var suite = []kernel{
	{"fib", false, 10}, {"sha256", false, 4}, {"hashmap", false, 4}, {"sort", false, 2}, {"json", false, 40}, {"coremark", false, 60},
	{"kv", false, 1200}, {"nbody", true, 10}, {"matmul", true, 3}, {"mandelbrot", true, 4}, {"spectral", true, 10},
}

// program is one instance of a kernel.
type program struct {
	run api.Function
	gas api.MutableGlobal // nil without instrumentation
	n   uint64

	requests *requests // of a guest; nil for a kernel
}

func (p program) time(t testing.TB) (time.Duration, uint64) {
	if p.gas != nil {
		p.gas.Set(math.MaxInt64)
	}
	if p.requests != nil {
		return p.requests.time(t, p.run)
	}
	stack := [1]uint64{p.n}
	start := time.Now()
	if err := p.run.CallWithStack(context.Background(), stack[:]); err != nil {
		t.Fatal(err)
	}
	return time.Since(start), uint64(uint32(stack[0]))
}

func (k kernel) wasm(t testing.TB) []byte {
	t.Helper()
	if k.name == "kv" {
		return kv.V2
	}
	wasm, err := kernels.ReadFile("kernels/" + k.name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// open instantiates a kernel raw and instrumented, on the engine that compiles.
func (k kernel) open(t testing.TB) (raw, ours program) {
	t.Helper()
	wasm := k.wasm(t)
	m, err := instrument.Instrument(wasm, instrument.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if k.name == "kv" {
		return instantiateGuest(t, wasm, k.n), instantiateGuest(t, m.Wasm, k.n)
	}
	raw, ours = instantiate(t, wasm), instantiate(t, m.Wasm)
	raw.n, ours.n = k.n, k.n
	return raw, ours
}

func instantiate(t testing.TB, wasm []byte) program {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	t.Cleanup(func() { _ = r.Close(ctx) })
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	gas, _ := m.ExportedGlobal(instrument.ExportGas).(api.MutableGlobal)
	return program{run: m.ExportedFunction("run"), gas: gas}
}

// ratio compares the fastest of many runs, in turns, so that noise hits both.
func ratio(t testing.TB, raw, ours program, rounds int) float64 {
	t.Helper()
	var best [2]time.Duration
	for i := range rounds {
		a, x := raw.time(t)
		b, y := ours.time(t)
		if x != y {
			t.Fatalf("raw gives %d, instrumented %d", x, y)
		}
		if i == 0 || a < best[0] {
			best[0] = a
		}
		if i == 0 || b < best[1] {
			best[1] = b
		}
	}
	return float64(best[1]) / float64(best[0])
}

// BenchmarkOverhead reports the time of the instrumented program for 1 of the
// raw one, each kernel by itself, the median of its runs, and the geometric mean of each suite.
func BenchmarkOverhead(b *testing.B) {
	means := make(map[string][]float64)
	for _, k := range suite {
		b.Run(k.name, func(b *testing.B) {
			raw, ours := k.open(b)
			var all []float64
			for b.Loop() {
				all = append(all, ratio(b, raw, ours, 30))
			}
			slices.Sort(all)
			report(b, all[len(all)/2])
			name := "integer"
			if k.float {
				name = "float"
			}
			means[name] = append(means[name], all[len(all)/2])
		})
	}
	for _, name := range slices.Sorted(maps.Keys(means)) {
		b.Run("mean/"+name, func(b *testing.B) { report(b, geomean(means[name])) })
	}
}

func report(b *testing.B, ratio float64) {
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(0, "ns/op")
}

func geomean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(max(1, len(x))))
}

// BenchmarkInstrument reports the speed of the rewriting, and the size of the
// module afterwards for 1 of what it was.
func BenchmarkInstrument(b *testing.B) {
	modules := make(map[string][]byte)
	for _, k := range suite {
		modules[k.name] = k.wasm(b)
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		b.Run(name, func(b *testing.B) {
			wasm := modules[name]
			b.SetBytes(int64(len(wasm)))
			size := 0
			for b.Loop() {
				m, err := instrument.Instrument(wasm, instrument.Config{})
				if err != nil {
					b.Fatal(err)
				}
				size = len(m.Wasm)
			}
			b.ReportMetric(float64(size)/float64(len(wasm)), "growth")
		})
	}
}
