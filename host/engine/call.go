package engine

import (
	"fmt"
	"math"

	"github.com/tetratelabs/wazero/api"

	"lockstep/host"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// steps are the functions that one Call runs, one after the other, as long as
// none traps. Only the last may have a result.
type steps []api.Function

// stepsOf tells what the call of each export runs. A new instance is brought
// up by the call that gives it its state: the start function and the
// constructors of a WASI reactor come first, at the same gas.
func stepsOf(instance api.Module, start string) map[string]steps {
	up := existing(instance, start, wasmabi.ExportInitialize)
	all := map[string]steps{
		// The one export that is not needed for its call.
		wasmabi.ExportInit: append(up[:len(up):len(up)], existing(instance, wasmabi.ExportInit)...),
	}
	for _, name := range []string{wasmabi.ExportApply, wasmabi.ExportQuery, wasmabi.ExportInvariant, wasmabi.ExportTimer, wasmabi.ExportSave} {
		if f := existing(instance, name); f != nil {
			all[name] = f
		}
	}
	if f := existing(instance, wasmabi.ExportLoad); f != nil {
		all[wasmabi.ExportLoad] = append(up[:len(up):len(up)], f...)
	}
	return all
}

func existing(instance api.Module, names ...string) steps {
	var s steps
	for _, name := range names {
		if f := instance.ExportedFunction(name); f != nil {
			s = append(s, f)
		}
	}
	return s
}

// Call implements host.Guest.
func (g *guest) Call(c host.Call) host.Outcome {
	if g.failed {
		panic("engine: call after one that failed, without undo")
	}
	if c.Gas == 0 || c.Gas > math.MaxInt64 {
		panic(fmt.Sprintf("engine: call with a gas limit of %d", c.Gas))
	}
	steps, ok := g.steps[c.Export]
	if !ok {
		g.failed = true
		return host.Outcome{Status: wasmabi.Trapped, Trap: wasmabi.MissingExport}
	}
	g.begin(c)
	err := g.run(steps)
	o := g.outcome(err)
	g.end()
	g.failed = o.Status != wasmabi.OK
	return o
}

// begin sets all that the call may draw from. The instrumentation's globals
// are not state: a call that trapped left them as they were.
func (g *guest) begin(c host.Call) {
	g.call = c
	g.result[0] = 0
	g.random.reset()
	g.eventBytes = 0
	g.outputLimit = wasmabi.MaxOutput
	if c.Export == wasmabi.ExportSave {
		g.outputLimit = wasmabi.MaxState
	}
	g.setGas(int64(c.Gas))
	g.stack.Set(instrument.MaxDepth)
}

// end forgets the call; what it gave out belongs to the caller now.
func (g *guest) end() {
	g.call.Input, g.output, g.log = nil, nil, nil
	g.events, g.timers = nil, nil
}

func (g *guest) run(steps steps) error {
	for _, f := range steps {
		if err := f.CallWithStack(g.context, g.result[:]); err != nil {
			return err
		}
	}
	return nil
}

// outcome tells how the call ended.
func (g *guest) outcome(err error) (o host.Outcome) {
	o.Log = g.log
	g.trapped = err
	if err != nil && !g.call.Untraced {
		defer g.logTrace(&o)
	}
	left := g.gasLeft()
	if left < 0 {
		// Whatever comes first after the counter passed zero: the guest's own
		// check, or a host function's.
		o.Status, o.Gas = wasmabi.OutOfGas, g.call.Gas
		return o
	}
	o.Gas = g.call.Gas - uint64(left)
	if err != nil {
		o.Status, o.Trap = wasmabi.Trapped, g.trap(err)
		return o
	}
	o.Output, o.Code = g.output, api.DecodeU32(g.result[0])
	if o.Code != 0 {
		o.Status = wasmabi.Rejected
		return o
	}
	o.Events, o.Timers = g.events, g.timers
	return o
}

// trap tells the instrumentation's own trap from the guest's.
func (g *guest) trap(err error) wasmabi.Trap {
	trap := classify(err)
	if trap == wasmabi.Unreachable && int32(api.DecodeU32(g.stack.Get())) < 0 {
		return wasmabi.StackOverflow
	}
	return trap
}
