package instrument

// analyse reads the body for the first time.
func (f *function) analyse() {
	r := *f.body.code
	f.floats = newFloats()
	f.stretches = append(f.stretches, stretch{})
	w := &flow{f: f, r: &r, locals: f.localTypes(), stack: f.module.stack, frames: f.module.frames}
	w.set, w.got = make([]int32, len(w.locals)), make([]int32, len(w.locals))
	w.origins = make([]origin, len(w.locals))
	for i := len(f.typ.params); i < len(w.origins); i++ {
		w.origins[i] = fromZero
	}
	w.begin(0x02, funcType{results: f.typ.results})
	in := &instr{}
	for len(w.frames) > 0 {
		f.next(&r, in)
		f.account(w, in)
		if in.op == 0x0b {
			f.planEnd(w, in)
		}
		w.step(in)
		f.count++
		f.nesting = max(f.nesting, len(w.frames))
		if f.nesting > maxNesting {
			r.fail(TooMany, "nested blocks")
		}
		if in.op == 0x03 {
			f.beginLoop(w.top())
		}
		if len(w.frames) > 0 {
			f.plan(w, in)
		}
	}
	if r.more() {
		r.fail(Malformed, "code after the end of a function")
	}
	f.canonical = f.floats.solve()
	w.branches(3 * len(f.canonical)) // of ifs that are added
	w.machine(canonicalCode * len(f.canonical))
	f.floats, f.scratch = floats{}, nil
	f.module.stack, f.module.frames = w.stack[:0], w.frames
}

// account adds up what an instruction costs, and what it is that others ask for.
func (f *function) account(w *flow, in *instr) {
	b := w.top()
	f.stretches[b.stretch].cost += price(in)
	w.machine(machineCode(in))
	f.slots.wide = f.slots.wide || in.op == 0xfd
	switch {
	case in.op == 0x10:
		f.calls = append(f.calls, call{int32(b.stretch), in.imm})
		f.callIn(b.loop)
	case in.op == 0x11:
		f.indirect = append(f.indirect, in.imm)
		f.callIn(b.loop)
	case in.op == 0x0e:
		f.labels = max(f.labels, in.count)
	case in.op == 0x40, in.op == 0xfc && (in.sub == 8 || in.sub == 10 || in.sub == 11):
		f.ranges++
		w.branches(blocksOfRange)
	case in.op == 0xfc && in.sub == 9:
		f.drops = append(f.drops, in.imm)
	}
}

// callIn has the loops around know that one of them calls.
func (f *function) callIn(i int) {
	for i >= 0 && !f.loops[i].calls {
		f.loops[i].calls = true
		i = f.loops[i].parent
	}
}

func (f *function) beginLoop(b *frame) {
	f.loops = append(f.loops, loop{parent: b.loop, opened: b.opened, again: len(b.params) == 0})
	if len(b.params) == 0 {
		b.within++
	}
	f.stretches = append(f.stretches, stretch{})
	b.loop = len(f.loops) - 1
	b.stretch = len(f.stretches) - 1
	b.loops++
	f.module.looped.take(f.body.code, b.loops)
}
