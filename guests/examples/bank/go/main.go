// Command bank is accounts that are opened, and money that comes in, moves and
// goes out. Its invariant is that the accounts hold what came in and did not go
// out; ["invariant"] asks a client's way.
package main

import (
	"io"
	"maps"
	"slices"

	"lockstep/guests/sdk/go/cbor"
	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(&bank{accounts: make(map[string]int64)}) }

func main() {}

const (
	limit   = 1<<53 - 1 // of all money together
	maxName = 64
)

var (
	errExists       = lockstep.Reject(17, "account exists")
	errNoAccount    = lockstep.Reject(18, "no such account")
	errInsufficient = lockstep.Reject(19, "insufficient funds")
	errBadAmount    = lockstep.Reject(20, "amount is not in range")
	errNotConserved = lockstep.Reject(21, "money is not conserved")
)

type bank struct {
	accounts map[string]int64
	money    int64 // that came in and did not go out
}

// Apply implements lockstep.Machine.
func (b *bank) Apply(ctx *lockstep.Ctx, input []byte) ([]byte, error) {
	q := cbor.NewRequest(input)
	if q.Bad() {
		return nil, cbor.ErrMalformed
	}
	switch q.Op() {
	case "open":
		return b.open(q)
	case "deposit":
		return b.change(q, 1)
	case "withdraw":
		return b.change(q, -1)
	case "transfer":
		return b.transfer(ctx, q)
	}
	return nil, cbor.ErrUnknown
}

func (b *bank) open(q *cbor.Request) ([]byte, error) {
	name := q.Text()
	if !q.Args(1) || !q.End() || name == "" || len(name) > maxName {
		return nil, cbor.ErrMalformed
	}
	if _, ok := b.accounts[name]; ok {
		return nil, errExists
	}
	b.accounts[name] = 0
	return new(cbor.Writer).Null().Bytes, nil
}

// change deposits with sign 1, and withdraws with -1.
func (b *bank) change(q *cbor.Request, sign int64) ([]byte, error) {
	name, amount := q.Text(), q.Int()
	if !q.Args(2) || !q.End() {
		return nil, cbor.ErrMalformed
	}
	balance, ok := b.accounts[name]
	switch {
	case !ok:
		return nil, errNoAccount
	case amount < 1 || amount > limit || sign > 0 && b.money+amount > limit:
		return nil, errBadAmount
	case sign < 0 && balance < amount:
		return nil, errInsufficient
	}
	b.accounts[name] += sign * amount
	b.money += sign * amount
	return new(cbor.Writer).Int(b.accounts[name]).Bytes, nil
}

func (b *bank) transfer(ctx *lockstep.Ctx, q *cbor.Request) ([]byte, error) {
	from, to, amount := q.Text(), q.Text(), q.Int()
	if !q.Args(3) || !q.End() {
		return nil, cbor.ErrMalformed
	}
	balance, ok := b.accounts[from]
	_, exists := b.accounts[to]
	switch {
	case !ok || !exists:
		return nil, errNoAccount
	case amount < 1 || amount > limit:
		return nil, errBadAmount
	case balance < amount:
		return nil, errInsufficient
	}
	b.accounts[from] -= amount
	b.accounts[to] += amount
	ctx.Emit(new(cbor.Writer).Array(4).Text("transferred").Text(from).Text(to).Int(amount).Bytes)
	return new(cbor.Writer).Null().Bytes, nil
}

// Query implements lockstep.Querier.
func (b *bank) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	q, w := cbor.NewRequest(input), &cbor.Writer{}
	if q.Bad() {
		return nil, cbor.ErrMalformed
	}
	op := q.Op()
	switch op {
	case "balance":
		name := q.Text()
		if !q.Args(1) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		balance, ok := b.accounts[name]
		if !ok {
			return nil, errNoAccount
		}
		return w.Int(balance).Bytes, nil
	case "total", "invariant":
		if !q.Args(0) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		if op == "total" {
			return w.Int(b.total()).Bytes, nil
		}
		return w.Bool(b.total() == b.money).Bytes, nil
	}
	return nil, cbor.ErrUnknown
}

func (b *bank) total() (sum int64) {
	for _, balance := range b.accounts {
		sum += balance
	}
	return sum
}

// Invariant implements lockstep.Checked.
func (b *bank) Invariant(*lockstep.Ctx) error {
	if b.total() != b.money {
		return errNotConserved
	}
	return nil
}

// Save implements lockstep.State. The saved state is [money, [[name, balance],
// …]], ascending by name, the same in all languages.
func (b *bank) Save(out io.Writer) error {
	w := new(cbor.Writer).Array(2).Int(b.money).Array(len(b.accounts))
	for _, name := range slices.Sorted(maps.Keys(b.accounts)) {
		w.Array(2).Text(name).Int(b.accounts[name])
	}
	_, err := out.Write(w.Bytes)
	return err
}

// Load implements lockstep.State.
func (b *bank) Load(in io.Reader) error {
	saved, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	r := cbor.NewReader(saved)
	if r.Array() != 2 {
		return cbor.ErrMalformed
	}
	b.money = r.Int()
	for n := r.Array(); n > 0 && !r.Bad(); n-- {
		if r.Array() != 2 {
			return cbor.ErrMalformed
		}
		name := r.Text()
		b.accounts[name] = r.Int()
	}
	if !r.End() {
		return cbor.ErrMalformed
	}
	return nil
}
