package instrument

// slots counts the values of a function that a compiler may have to keep in
// the frame of a call. wazero's gives each a place of its own, also where two
// are never needed at once, so that their number counts and not the height of
// the stack: operands that wait while others are computed or a call runs, and
// what locals are set to, once more wherever such values meet.
type slots struct {
	waiting  int // operands
	assigned int // values of locals
	met      int // of locals, at the ends of blocks
	passed   int // by the widest call, results too
	wide     bool
}

// Operands above this height may find no register: few where many locals want
// one too.
const (
	lowOperands    = 6
	lowOperandsToo = 2
	fewLocals      = 4
)

func (s *slots) push(height, locals int) {
	low := lowOperands
	if locals > fewLocals {
		low = lowOperandsToo
	}
	if height > low {
		s.waiting++
	}
}

// call has the operands below it wait. Those above the low ones were counted
// when they were pushed.
func (s *slots) call(height, passed int) {
	s.waiting += min(height, lowOperands)
	s.passed = max(s.passed, passed)
}

// frameWeight is the depth that one call of the function takes.
func (f *function) frameWeight() int32 {
	s := &f.slots
	size := 8
	if s.wide {
		size = 16
	}
	added := 0
	for _, l := range f.loops {
		added += 4 + len(l.carried) // the gas, before and behind its charge, and what is carried
	}
	frame := size*(int(f.firstLocal)+s.waiting+s.assigned+s.met+added) + 16*(s.passed+len(f.typ.results))
	return int32(1 + min(frame/frameUnit, MaxDepth))
}
