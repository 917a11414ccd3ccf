package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/snapshot"
)

// guest is one instance of a module; it implements host.Guest.
type guest struct {
	module   *Module
	instance api.Module
	memory   *memory
	steps    map[string]steps // by the name of the export that is called
	context  *callContext     // carries this guest to the host functions

	gas, reserve, stack api.MutableGlobal // of the instrumentation; set for each call

	// State besides memory: globals, then clock. committed is what Undo goes
	// back to, in the order of host.Guest.Globals.
	globals   []global
	clock     clock
	committed []uint64

	failed bool // the last call did, and the working state is undefined until Undo

	// Of the call that runs.
	call        host.Call
	result      [1]uint64
	random      random
	output      []byte
	outputLimit uint64
	events      [][]byte
	eventBytes  int
	timers      []host.Timer
	log         []byte
	trapped     error // of the last call
}

// global is a mutable global of the module.
type global struct {
	api.MutableGlobal
	wide bool // 64 bits
}

// value returns the global's bits. wazero leaves garbage above the lower half
// of a 32-bit one.
func (g global) value() uint64 {
	v := g.Get()
	if !g.wide {
		v = uint64(api.DecodeU32(v))
	}
	return v
}

// Commit implements host.Guest.
func (g *guest) Commit() []uint32 {
	if g.failed {
		panic("engine: commit of a call that failed")
	}
	for i, v := range g.globals {
		g.committed[i] = v.value()
	}
	g.committed[len(g.globals)] = g.clock.last
	return g.memory.pages.Commit()
}

// Undo implements host.Guest.
func (g *guest) Undo() {
	before := len(g.memory.pages.Live())
	g.memory.pages.Undo()
	if len(g.memory.pages.Live()) != before {
		g.memory.sync()
	}
	g.restoreGlobals()
	g.failed = false
}

// Watch makes each Undo and each Commit but the first cheaper until stop is called. Until then the guest
// is used by this goroutine alone.
func (g *guest) Watch() (stop func()) { return g.memory.pages.Watch() }

func (g *guest) restoreGlobals() {
	for i, v := range g.globals {
		v.Set(g.committed[i])
	}
	g.clock.last = g.committed[len(g.globals)]
}

// Memory implements host.Guest.
func (g *guest) Memory() []byte { return g.memory.pages.Committed() }

// Live is the working memory, to inject and to find faults. It is valid until
// the next call.
func (g *guest) Live() []byte { return g.memory.pages.Live() }

// Freeze returns the committed memory as it is now, to be read while the guest
// goes on.
func (g *guest) Freeze() snapshot.Frozen { return g.memory.pages.Freeze() }

// Digests returns the digests of committed pages, in their order.
func (g *guest) Digests(pages []uint32) []audit.Digest {
	digests := make([]audit.Digest, len(pages))
	g.memory.pages.Each(pages, func(first int, data [][]byte) { snapshot.PageDigests(data, digests[first:]) })
	return digests
}

// Blank tells that a committed page has been zero since it was added. To read it could
// take memory for it.
func (g *guest) Blank(page uint32) bool { return g.memory.pages.Blank(page) }

// Tracker tells how pages that the guest wrote are found.
func (g *guest) Tracker() string { return g.memory.pages.Tracker().String() }

// Globals implements host.Guest. The WASI clock follows the module's globals.
func (g *guest) Globals() []uint64 { return slices.Clone(g.committed) }

// Patch implements host.Guest.
func (g *guest) Patch(d snapshot.Delta) error {
	if err := g.checkDelta(d); err != nil {
		return err
	}
	if d.Size != uint64(len(g.memory.pages.Committed())) || d.Size != uint64(len(g.memory.pages.Live())) {
		g.memory.pages.Resize(d.Size)
		g.memory.sync()
	}
	g.memory.pages.Write(d.Pages...)
	if d.Globals != nil {
		copy(g.committed, d.Globals)
		g.restoreGlobals()
	}
	return nil
}

func (g *guest) checkDelta(d snapshot.Delta) error {
	low, high := g.module.memoryBounds()
	if d.Size%wasmPage != 0 || d.Size < low || d.Size > high {
		return fmt.Errorf("memory of %d bytes, want whole Wasm pages from %d to %d", d.Size, low, high)
	}
	for _, p := range d.Pages {
		if uint64(p.Index) >= d.Size/snapshot.PageSize || len(p.Data) != snapshot.PageSize {
			return fmt.Errorf("page %d of %d bytes in a memory of %d", p.Index, len(p.Data), d.Size)
		}
	}
	if d.Globals == nil {
		return nil
	}
	if len(d.Globals) != len(g.committed) {
		return fmt.Errorf("%d globals, want %d", len(d.Globals), len(g.committed))
	}
	for i, v := range g.globals {
		if !v.wide && d.Globals[i]>>32 != 0 {
			return fmt.Errorf("global %d is %#x, want 32 bits", i, d.Globals[i])
		}
	}
	return nil
}

// Close implements host.Guest.
func (g *guest) Close() error {
	return errors.Join(g.instance.Close(context.Background()), g.memory.pages.Close())
}
