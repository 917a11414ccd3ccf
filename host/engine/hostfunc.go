package engine

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// hostFunc is a function that a guest may import. It runs on the stack that
// wazero hands over: parameters in, result out.
type hostFunc struct {
	decl wasmabi.Func
	run  func(g *guest, stack []uint64)
}

// Call implements api.GoFunction. The upper halves of 32-bit parameters hold
// garbage in wazero's compiler, which no host function may see.
func (f *hostFunc) Call(ctx context.Context, stack []uint64) {
	g := ctx.(*callContext).guest
	for i := range len(f.decl.Params) {
		if f.decl.Params[i] == 'i' {
			stack[i] = uint64(api.DecodeU32(stack[i]))
		}
	}
	g.charge(priceCall)
	f.run(g, stack)
}

// callContext carries the guest to its host functions. wazero passes the
// context of a call through as it is.
type callContext struct {
	context.Context
	guest *guest
}

// Value answers wazero's look-ups of options, none of which are set.
func (*callContext) Value(any) any { return nil }

// register makes the host modules that guests import from.
func register(ctx context.Context, runtime wazero.Runtime) error {
	for module, funcs := range map[string][]hostFunc{
		wasmabi.Module:     lockstepFuncs(),
		wasmabi.WASIModule: wasiFuncs(),
	} {
		b := runtime.NewHostModuleBuilder(module)
		for _, f := range funcs {
			b.NewFunctionBuilder().
				WithGoFunction(&f, valueTypes(f.decl.Params), valueTypes(f.decl.Results)).
				Export(f.decl.Name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("make host module %s: %w", module, err)
		}
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, len(letters))
	for i, c := range letters {
		types[i] = api.ValueTypeI32
		if c == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// lockstepFuncs are wasmabi.Imports, with what they do.
func lockstepFuncs() []hostFunc {
	run := map[string]func(*guest, []uint64){
		"input_size":   (*guest).inputSize,
		"input_read":   (*guest).inputRead,
		"output_write": (*guest).outputWrite,
		"time":         func(g *guest, s []uint64) { s[0] = uint64(g.call.Time) },
		"seq":          func(g *guest, s []uint64) { s[0] = uint64(g.call.Seq) },
		"caller":       func(g *guest, s []uint64) { copy(g.bytes(s[0], 32), g.call.Caller[:]) },
		"random":       func(g *guest, s []uint64) { g.fillRandom(g.bytes(s[0], s[1])) },
		"emit":         func(g *guest, s []uint64) { g.emit(g.bytes(s[0], s[1])) },
		"set_timer":    func(g *guest, s []uint64) { g.setTimer(int64(s[0]), int64(s[1])) },
		"log":          func(g *guest, s []uint64) { g.logLine(g.bytes(s[0], s[1])) },
	}
	funcs := make([]hostFunc, 0, len(wasmabi.Imports))
	for _, decl := range wasmabi.Imports {
		funcs = append(funcs, hostFunc{decl, run[decl.Name]})
	}
	return funcs
}

func (g *guest) inputSize(s []uint64) { s[0] = uint64(len(g.call.Input)) }

func (g *guest) inputRead(s []uint64) {
	into, offset := g.bytes(s[0], s[1]), s[2]
	n := 0
	if offset < uint64(len(g.call.Input)) {
		rest := g.call.Input[offset:]
		g.chargeBytes(uint64(min(len(into), len(rest))))
		n = copy(into, rest)
	}
	s[0] = uint64(n)
}

func (g *guest) outputWrite(s []uint64) {
	from := g.bytes(s[0], s[1])
	if uint64(len(g.output))+uint64(len(from)) > g.outputLimit {
		panic(trapOutputTooLarge)
	}
	g.chargeBytes(uint64(len(from)))
	g.output = append(g.output, from...)
}

// emit keeps a copy of an event.
func (g *guest) emit(event []byte) {
	g.charge(priceEffect)
	g.eventBytes += len(event)
	if len(g.events) == wasmabi.MaxEvents || g.eventBytes > wasmabi.MaxEventBytes {
		panic(trapTooManyEvents)
	}
	g.chargeBytes(uint64(len(event)))
	g.events = append(g.events, bytes.Clone(event))
}

// setTimer keeps what is to become of a timer. A guest that could not be told
// when it is due learns so now.
func (g *guest) setTimer(id, at int64) {
	g.charge(priceEffect)
	if _, ok := g.steps[wasmabi.ExportTimer]; !ok {
		panic(trapMissingExport)
	}
	if len(g.timers) == wasmabi.MaxTimers {
		panic(trapTooManyTimers)
	}
	g.timers = append(g.timers, host.Timer{ID: id, At: ordering.Time(at)})
}

func (g *guest) fillRandom(into []byte) {
	price := uint64(len(into)) / randomPerGas
	if g.random.stream == nil {
		price += priceStream
	}
	g.charge(price)
	g.random.read(g.call.Random, into)
}

// logLine adds a line to the log.
func (g *guest) logLine(line []byte) {
	g.logBytes(line)
	if n := len(line); n == 0 || line[n-1] != '\n' {
		g.keepLog([]byte{'\n'})
	}
}

// logBytes adds raw output to the log. It costs the same whether or not there
// is room.
func (g *guest) logBytes(p []byte) {
	g.chargeBytes(uint64(len(p)))
	g.keepLog(p)
}

func (g *guest) keepLog(p []byte) {
	g.log = append(g.log, p[:min(len(p), wasmabi.MaxLog-len(g.log))]...)
}

// bytes returns n bytes of the guest's memory, and ends the call where they
// are not all there.
func (g *guest) bytes(ptr, n uint64) []byte {
	b, ok := g.slice(ptr, n)
	if !ok {
		panic(trapHostArgument)
	}
	return b
}

// slice returns n bytes of the guest's memory. Both are below 2^32, so that
// their sum does not wrap.
func (g *guest) slice(ptr, n uint64) (b []byte, ok bool) {
	live := g.memory.pages.Live()
	if ptr+n > uint64(len(live)) {
		return nil, false
	}
	return live[ptr : ptr+n : ptr+n], true
}
