package e2e

import (
	"fmt"
	"sync"
	"testing"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
)

var allModes = []client.Mode{client.Linearizable, client.Stale, client.Voted}

// Each mode reads what was written, and a query that writes leaves no trace.
func TestQueryModes(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	seq := call(t, cl, kv.Put("k", []byte("v"))).Seq
	for _, mode := range allModes {
		out, err := cl.QueryFrom(within(t, patience), kv.Get("k"), mode, seq)
		if err != nil || string(out.Bytes) != "\x01v" || out.Seq < seq {
			t.Errorf("%v: read %q at seq %d, %v", mode, out.Bytes, out.Seq, err)
		}
	}
	verify(t, c, "kv")
}

// A linearizable or voted read begun after a write was answered sees it,
// whatever the load and whoever reads.
func TestReadsAfterWritesUnderLoad(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{})
	reader := connect(t, c, "kv")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint("n", i)
			mode := []client.Mode{client.Linearizable, client.Voted}[i%2]
			for n := range int64(40) {
				if _, err := cl.Call(within(t, patience), kv.Add(key, 1)); err != nil {
					t.Error(err)
					return
				}
				out, err := reader.Query(within(t, patience), kv.Get(key), mode)
				if err != nil {
					t.Errorf("%v: %v", mode, err)
					return
				}
				if got, err := kv.DecodeNumber(out.Bytes[1:]); err != nil || got != n+1 {
					t.Errorf("%v: read %d, %v after %d additions", mode, got, err, n+1)
				}
			}
		})
	}
	wg.Wait()
	verify(t, c, "kv")
}
