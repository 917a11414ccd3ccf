package engine

import "lockstep/wasmabi/instrument"

// Gas that host functions cost, beside the guest's own instructions. A unit is
// about one simple instruction of compiled code, one nanosecond or less, so
// that a guest cannot make the host work for nothing. Prices are behaviour:
// changing one is a new instrument.Profile.
const (
	priceCall    = 64 // leaving compiled code and coming back
	priceStream  = 512
	priceVector  = 8   // an iovec or a subscription
	priceEffect  = 128 // an event or a timer, which the host keeps and sorts
	bytesPerGas  = 4   // copied, with the host's buffer growing under it
	randomPerGas = 1   // bytes of the random stream
)

// charge takes gas from the guest, and ends the call where there is too little.
func (g *guest) charge(price uint64) {
	if left := int64(g.gas.Get()) - int64(price); left >= 0 {
		g.gas.Set(uint64(left))
		return
	}
	left := g.gasLeft() - int64(price)
	g.setGas(left)
	if left < 0 {
		panic(trapOutOfGas)
	}
}

// gasLeft is negative where it ran out.
func (g *guest) gasLeft() int64 { return int64(g.gas.Get()) + int64(g.reserve.Get()) }

// setGas gives the guest the first slice, and keeps the rest in reserve.
func (g *guest) setGas(left int64) {
	slice := min(left, instrument.Slice)
	g.gas.Set(uint64(slice))
	g.reserve.Set(uint64(left - slice))
}

func (g *guest) chargeBytes(n uint64) { g.charge(n / bytesPerGas) }
