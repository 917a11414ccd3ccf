package linear

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// Sizes that guest.c has too.
const (
	slots  = 16
	places = 256
	money  = 100 // in each account at first
)

// model is one of the guest's machines: what its operations are, and what they do to a state that is a comparable value.
type model[S comparable] struct {
	name  string
	ops   []uint64
	init  func() S
	byKey bool // operations with different first arguments do not touch each other
	step  func(S, operation) (S, answer)
}

// check looks for an order that explains the history.
func (m model[S]) check(h history, patience time.Duration) error {
	p := porcupine.Model{
		Init: func() any { return m.init() },
		Step: func(state, input, output any) (bool, any) {
			next, want := m.step(state.(S), input.(operation))
			got := output.(answer)
			return got.unknown || got == want, next
		},
		Equal: func(a, b any) bool { return a.(S) == b.(S) },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%v → %v", input, output)
		},
	}
	if m.byKey {
		p.Partition = partition
	}
	switch porcupine.CheckOperationsTimeout(p, h.of(m.ops...), patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%s: no verdict within %v", m.name, patience)
	}
	return fmt.Errorf("%s: %d calls cannot be explained by any order", m.name, len(h.of(m.ops...)))
}

func partition(h []porcupine.Operation) (parts [][]porcupine.Operation) {
	byKey := make(map[uint64][]porcupine.Operation)
	for _, o := range h {
		key := o.Input.(operation).a
		byKey[key] = append(byKey[key], o)
	}
	for _, part := range byKey {
		parts = append(parts, part)
	}
	return parts
}

// checkers are those of all machines.
func checkers() []func(history, time.Duration) error {
	return []func(history, time.Duration) error{register.check, store.check, queue.check, bank.check, clock}
}

// clock wants the ordered time to grow, whatever the clocks of nodes do: of two calls one after the other, which are of two
// entries, the later one has read a later time.
func clock(h history, _ time.Duration) error {
	calls := h.of(opNow)
	for _, a := range calls {
		for _, b := range calls {
			before, after := a.Output.(answer), b.Output.(answer)
			if a.Return < b.Call && !before.unknown && !after.unknown && before.numbers[0] >= after.numbers[0] {
				return fmt.Errorf("clock: the ordered time was %d, and later %d", before.numbers[0], after.numbers[0])
			}
		}
	}
	return nil
}

var register = model[uint64]{
	name: "register", ops: []uint64{opRead, opWrite, opSwap}, byKey: true,
	init: func() uint64 { return 0 },
	step: func(v uint64, o operation) (uint64, answer) {
		switch {
		case o.op == opRead:
			return v, say(v)
		case o.op == opWrite:
			return o.b, say(0)
		case v == o.b:
			return o.c, say(1)
		}
		return v, say(0)
	},
}

// kept is a key's value, if it has one.
type kept struct {
	value   uint64
	present bool
}

var store = model[kept]{
	name: "key-value store", ops: []uint64{opPut, opGet, opDelete}, byKey: true,
	init: func() kept { return kept{} },
	step: func(k kept, o operation) (kept, answer) {
		was := uint64(0)
		if k.present {
			was = 1
		}
		switch {
		case o.op == opPut:
			return kept{o.b, true}, say(0)
		case o.op == opDelete:
			return kept{}, say(was)
		case k.present:
			return k, say(1, k.value)
		}
		return k, say(0, 0)
	},
}

// line is what waits in the queue: its numbers, 8 bytes each.
type line string

var queue = model[line]{
	name: "queue", ops: []uint64{opPush, opPop},
	init: func() line { return "" },
	step: func(l line, o operation) (line, answer) {
		switch {
		case o.op == opPush && len(l) == 8*places:
			return l, answer{full: true}
		case o.op == opPush:
			return l + line(number(o.b)), say(0)
		case l == "":
			return l, say(0, 0)
		}
		return l[8:], say(1, value(l[:8]))
	},
}

func number(v uint64) []byte { return operation{op: v}.encode()[:8] }

func value(l line) uint64 { return decode([]byte(l)).numbers[0] }

var bank = model[[slots]uint64]{
	name: "bank", ops: []uint64{opTransfer, opBalances},
	init: func() (accounts [slots]uint64) {
		for i := range accounts {
			accounts[i] = money
		}
		return accounts
	},
	step: func(accounts [slots]uint64, o operation) ([slots]uint64, answer) {
		switch {
		case o.op == opBalances:
			return accounts, answer{numbers: accounts, n: slots}
		case accounts[o.a] < o.c:
			return accounts, say(0)
		}
		accounts[o.a] -= o.c
		accounts[o.b] += o.c
		return accounts, say(1)
	},
}
