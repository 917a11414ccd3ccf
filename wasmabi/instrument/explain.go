package instrument

import "lockstep/wasmabi"

// Explanation is what the rewriting of a module does, for people to read.
type Explanation struct {
	Functions []Function
	Limits    []Limit
}

// Function is one that the module defines.
type Function struct {
	Index     int    // among all, imports first
	Name      string // if the module tells
	Size      int    // bytes of code
	Nesting   int    // blocks in each other, the function itself among them
	Loops     int
	Cost      int64 // gas of the dearest stretch: code that is paid for at once
	Folded    bool  // its callers pay
	Counted   bool  // it counts its depth, for calls may come back to it or to what it calls
	Weight    int   // on the stack, in units of MaxDepth
	Canonical int   // places where a NaN is made canonical
}

// Limit is one of limits.go, or of a machine's config.
type Limit struct {
	Name      string
	Have, Max int
}

// Explain tells what Instrument does to a module. The error is a *Refusal.
func Explain(wasm []byte, cfg Config) (*Explanation, error) {
	m, funcs, out, err := examine(wasm, cfg)
	if err != nil {
		return nil, err
	}
	e := &Explanation{}
	for _, f := range funcs {
		e.Functions = append(e.Functions, f.explain())
	}
	e.Limits = m.limits(funcs)
	e.Limits = append(e.Limits, Limit{"bytes of the module", len(wasm), wasmabi.MaxModule},
		Limit{"pages of memory at the start", int(out.InitialPages), int(out.MaxPages)})
	return e, nil
}

func (f *function) explain() Function {
	e := Function{
		Index: f.index, Name: f.module.names[f.index], Size: len(f.body.code.data), Nesting: f.nesting, Loops: len(f.loops),
		Folded: f.folded, Counted: f.counted, Weight: int(f.weight), Canonical: len(f.canonical),
	}
	for _, s := range f.stretches {
		e.Cost = max(e.Cost, s.cost)
	}
	return e
}

// limits compares the module with each limit; of functions it is the largest.
func (m *module) limits(funcs []*function) []Limit {
	var locals, size, nesting, labels, live, machine int
	for _, f := range funcs {
		locals, size, nesting = max(locals, int(f.firstLocal)), max(size, len(f.body.code.data)), max(nesting, f.nesting)
		labels, live, machine = max(labels, f.labels), max(live, f.live), max(machine, f.machine)
	}
	return []Limit{
		{"types", len(m.types), maxTypes}, {"parameters and results of all types", m.typed, maxTyped}, {"imports", len(m.imports), maxImports}, {"functions", len(m.funcs), maxFuncs},
		{"globals", len(m.globals), maxGlobals}, {"exports", len(m.exports), maxExports},
		{"data segments", m.dataSegments, maxSegments}, {"element segments", len(m.elements), maxSegments},
		{"elements of all segments", m.elementCount, maxElements}, {"tables", len(m.tableMin), maxTables}, {"entries of all tables", int(m.entries), maxTable},
		{"bytes of a function", size, maxBody}, {"locals of a function", locals, maxLocals}, {"locals of all functions", m.locals, maxAllLocals},
		{"nested blocks", nesting, maxNesting}, {"labels of a br_table", labels, maxBrTable},
		{m.live.what, m.live.used, m.live.max}, {m.live.what + " of a function", live, maxLiveOfFunc}, {m.machine.what, m.machine.used, m.machine.max}, {m.machine.what + " of a function", machine, maxMachineOfFunc}, {m.pairs.what, m.pairs.used, m.pairs.max}, {m.looped.what, m.looped.used, m.looped.max},
		{"values that meet at the ends of blocks", m.met, m.maxMet}, {m.moved.what, m.moved.used, m.moved.max},
	}
}
