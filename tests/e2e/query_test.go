package e2e

import (
	"context"
	"encoding/binary"
	"errors"
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

// What a query does to the state is undone, at every replica.
func TestQueryThatWrites(t *testing.T) {
	c, cl := deployed(t, "probe", probe(t), host.Config{})
	count := binary.LittleEndian.Uint32(call(t, cl, cmd(1)).Bytes)
	for range 3 {
		for _, mode := range []client.Mode{client.Linearizable, client.Voted} {
			out, err := cl.Query(within(t, patience), nil, mode)
			if err != nil || binary.LittleEndian.Uint32(out.Bytes) != count+1 {
				t.Fatalf("%v: query counted %x, %v, want %d", mode, out.Bytes, err, count+1)
			}
		}
	}
	if got := binary.LittleEndian.Uint32(call(t, cl, cmd(1)).Bytes); got != count+1 {
		t.Errorf("count is %d after queries, want %d", got, count+1)
	}
	verify(t, c, "probe")
}

// A query has its own limit of gas, and a flood of queries that use all of it
// does not stop inputs.
func TestQueriesDoNotStarveInputs(t *testing.T) {
	c, cl := deployed(t, "kv", kv.V2, host.Config{QueryGas: 1000})
	if _, err := cl.Query(within(t, patience), kv.Get("k"), client.Linearizable); !errors.Is(err, client.ErrOutOfGas) {
		t.Errorf("query with 1000 gas: %v, want ErrOutOfGas", err)
	}
	flood := connect(t, c, "kv")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = flood.Query(ctx, kv.Get("k"), allModes[i%3]) // out of gas, or busy
			}
		})
	}
	for range 30 {
		call(t, cl, kv.Add("n", 1))
	}
	stop()
	wg.Wait()
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
