package engine

// Gas that host functions cost, beside the guest's own instructions. A unit is
// about one simple instruction of compiled code, one nanosecond or less, so
// that a guest cannot make the host work for nothing. Prices are behaviour:
// changing one is a new instrument.Profile.
const (
	priceCall    = 64 // leaving compiled code and coming back
	priceStream  = 512
	priceVector  = 8 // an iovec or a subscription
	bytesPerGas  = 4 // copied, with the host's buffer growing under it
	randomPerGas = 1 // bytes of the random stream
)

// charge takes gas from the guest, and ends the call where there is too little.
func (g *guest) charge(price uint64) {
	left := int64(g.gas.Get()) - int64(price)
	g.gas.Set(uint64(left))
	if left < 0 {
		panic(trapOutOfGas)
	}
}

func (g *guest) chargeBytes(n uint64) { g.charge(n / bytesPerGas) }
