// Command orderbook matches limit orders by price, and at one price by time.
//
//	["limit", side, price, quantity]  a "buy" or "sell" order; answers with [id, quantity that was
//	                                  traded at once]; what is left waits in the book
//	["cancel", id]                    by who gave the order; answers with the quantity that was left
//	["book", depth]                   a query: [bids, asks], each of [price, quantity] from the best on
//
// Each trade is an event: ["trade", buyer's order, seller's order, price, quantity].
package main

import (
	"io"
	"slices"

	"lockstep/guests/sdk/go/cbor"
	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(&book{}) }

func main() {}

const (
	maxPrice    = 1 << 40
	maxQuantity = 1 << 40
	maxOrders   = 100_000
	maxTrades   = 200 // of one order, since each is an event
	maxDepth    = 1000
)

var errNoOrder = lockstep.Reject(17, "no such order of this client")

type order struct {
	id, price, quantity int64
	owner               [32]byte
}

// side is one side of the book, the best order last.
type side struct {
	orders []order
	sign   int64 // 1 for bids: a higher price is better; -1 for asks
}

// insert puts an order behind all that are as good or better.
func (s *side) insert(o order) {
	i, _ := slices.BinarySearchFunc(s.orders, o, func(a, b order) int {
		if s.sign*a.price < s.sign*b.price {
			return -1
		}
		return 1
	})
	s.orders = slices.Insert(s.orders, i, o)
}

// book is the state.
type book struct {
	bids, asks side
	last       int64 // id
}

func (b *book) sides(buys bool) (own, other *side) {
	b.bids.sign, b.asks.sign = 1, -1
	if buys {
		return &b.bids, &b.asks
	}
	return &b.asks, &b.bids
}

// Apply implements lockstep.Machine.
func (b *book) Apply(ctx *lockstep.Ctx, input []byte) ([]byte, error) {
	q := cbor.NewRequest(input)
	if q.Bad() {
		return nil, cbor.ErrMalformed
	}
	switch q.Op() {
	case "limit":
		way, price, quantity := q.Text(), q.Int(), q.Int()
		if !q.Args(3) || !q.End() || way != "buy" && way != "sell" ||
			price < 1 || price > maxPrice || quantity < 1 || quantity > maxQuantity {
			return nil, cbor.ErrMalformed
		}
		return b.limit(ctx, way == "buy", order{price: price, quantity: quantity, owner: ctx.Caller()})
	case "cancel":
		id := q.Int()
		if !q.Args(1) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		return b.cancel(ctx, id)
	}
	return nil, cbor.ErrUnknown
}

// limit trades what crosses, and lets the rest wait.
func (b *book) limit(ctx *lockstep.Ctx, buys bool, o order) ([]byte, error) {
	own, other := b.sides(buys)
	b.last++
	o.id = b.last
	wanted := o.quantity
	for trades := 0; o.quantity > 0 && len(other.orders) > 0; trades++ {
		best := &other.orders[len(other.orders)-1]
		if own.sign*best.price > own.sign*o.price {
			break
		}
		if trades == maxTrades {
			return nil, lockstep.Reject(19, "order would make too many trades at once")
		}
		n := min(o.quantity, best.quantity)
		o.quantity -= n
		best.quantity -= n
		buyer, seller := o.id, best.id
		if !buys {
			buyer, seller = seller, buyer
		}
		ctx.Emit(new(cbor.Writer).Array(5).Text("trade").Int(buyer).Int(seller).Int(best.price).Int(n).Bytes)
		if best.quantity == 0 {
			other.orders = other.orders[:len(other.orders)-1]
		}
	}
	if o.quantity > 0 {
		if len(own.orders) == maxOrders {
			return nil, lockstep.Reject(18, "book is full")
		}
		own.insert(o)
	}
	return new(cbor.Writer).Array(2).Int(o.id).Int(wanted - o.quantity).Bytes, nil
}

func (b *book) cancel(ctx *lockstep.Ctx, id int64) ([]byte, error) {
	for _, s := range []*side{&b.bids, &b.asks} {
		i := slices.IndexFunc(s.orders, func(o order) bool { return o.id == id && o.owner == ctx.Caller() })
		if i >= 0 {
			left := s.orders[i].quantity
			s.orders = slices.Delete(s.orders, i, i+1)
			return new(cbor.Writer).Int(left).Bytes, nil
		}
	}
	return nil, errNoOrder
}

// Query implements lockstep.Querier.
func (b *book) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	q := cbor.NewRequest(input)
	switch {
	case q.Bad():
		return nil, cbor.ErrMalformed
	case q.Op() != "book":
		return nil, cbor.ErrUnknown
	}
	depth := q.Int()
	if !q.Args(1) || !q.End() || depth < 1 || depth > maxDepth {
		return nil, cbor.ErrMalformed
	}
	w := new(cbor.Writer).Array(2)
	for _, s := range []*side{&b.bids, &b.asks} {
		levels := s.levels(int(depth))
		w.Array(len(levels))
		for _, l := range levels {
			w.Array(2).Int(l.price).Int(l.quantity)
		}
	}
	return w.Bytes, nil
}

// levels sums up the best prices.
func (s *side) levels(depth int) (levels []order) {
	for _, o := range slices.Backward(s.orders) {
		if n := len(levels); n > 0 && levels[n-1].price == o.price {
			levels[n-1].quantity += o.quantity
			continue
		}
		if len(levels) == depth {
			break
		}
		levels = append(levels, order{price: o.price, quantity: o.quantity})
	}
	return levels
}

// Save implements lockstep.State: [last id, bids, asks], the best order last.
func (b *book) Save(out io.Writer) error {
	w := new(cbor.Writer).Array(3).Int(b.last)
	for _, s := range []*side{&b.bids, &b.asks} {
		w.Array(len(s.orders))
		for _, o := range s.orders {
			w.Array(4).Int(o.id).Int(o.price).Int(o.quantity).Data(o.owner[:])
		}
	}
	_, err := out.Write(w.Bytes)
	return err
}

// Load implements lockstep.State.
func (b *book) Load(in io.Reader) error {
	saved, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	r := cbor.NewReader(saved)
	if r.Array() != 3 {
		return cbor.ErrMalformed
	}
	b.last = r.Int()
	for _, s := range []*side{&b.bids, &b.asks} {
		for n := r.Array(); n > 0 && !r.Bad(); n-- {
			if r.Array() != 4 {
				return cbor.ErrMalformed
			}
			o := order{id: r.Int(), price: r.Int(), quantity: r.Int()}
			copy(o.owner[:], r.Data())
			s.orders = append(s.orders, o)
		}
	}
	if !r.End() {
		return cbor.ErrMalformed
	}
	return nil
}
