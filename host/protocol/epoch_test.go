package protocol

import (
	"testing"

	"lockstep/host"
	"lockstep/ordering"
)

// One of three that lies, up or down, or is late, sends nobody to another epoch.
func TestEpochOf(t *testing.T) {
	for _, c := range []struct {
		read []ordering.Epoch
		want ordering.Epoch
	}{
		{nil, 1}, {[]ordering.Epoch{0}, 1}, {[]ordering.Epoch{3}, 3}, {[]ordering.Epoch{2, 9, 2}, 2}, {[]ordering.Epoch{1, 2, 2}, 2},
		{[]ordering.Epoch{2, 9}, 2},
	} {
		var infos []host.Info
		for _, e := range c.read {
			infos = append(infos, host.Info{Log: e})
		}
		if got := EpochOf(infos); got != c.want {
			t.Errorf("%v: got %d, want %d", c.read, got, c.want)
		}
	}
}
