package protocol

import (
	"slices"

	"lockstep/host"
	"lockstep/ordering"
)

// EpochOf is the epoch whose log most of those read that answered, so that one liar cannot send
// anybody astray. It is the first if nobody did.
func EpochOf(infos []host.Info) ordering.Epoch {
	if len(infos) == 0 {
		return 1
	}
	epochs := make([]ordering.Epoch, 0, len(infos))
	for i := range infos {
		epochs = append(epochs, max(infos[i].Log, 1))
	}
	slices.Sort(epochs)
	return epochs[(len(epochs)-1)/2]
}
