package e2e

import (
	"fmt"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
)

// A cluster hosts more machines than a handful, each with a log of its own.
func TestManyMachines(t *testing.T) {
	c := start(t, "m0", nil)
	for i := range 12 {
		name := fmt.Sprintf("m%d", i)
		if err := c.Host(within(t, patience), ordering.Name(name)); err != nil {
			t.Fatalf("machine %d: %v", i+1, err)
		}
		cl := connect(t, c, name)
		deploy(t, c, cl, kv.V1, host.Config{})
		call(t, cl, kv.Put("k", []byte(name)))
	}
	for i := range 12 {
		name := fmt.Sprintf("m%d", i)
		out := call(t, connect(t, c, name), kv.Get("k"))
		if got, found, err := kv.DecodeGet(out.Bytes); err != nil || !found || string(got) != name {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
}
