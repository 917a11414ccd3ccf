package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/ordering"
)

// large is an input of which few fill a log.
func large(key string) []byte { return kv.Put(key, append(make([]byte, 60<<10), key...)) }

// burst makes many large calls at once and returns those that were accepted, by key; the others must have been refused for
// want of room, and not be there.
func (n *processes) burst(ctx context.Context, cl *client.Client, name string) (accepted, refused []string) {
	n.t.Helper()
	var mu sync.Mutex
	var calls sync.WaitGroup
	for i := range 100 {
		key := fmt.Sprint(name, i)
		calls.Go(func() {
			_, err := cl.Call(ctx, large(key))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				accepted = append(accepted, key)
			case errors.Is(err, ordering.ErrFull) && !errors.As(err, new(*client.FailError)):
				refused = append(refused, key)
			default:
				n.t.Errorf("call: %v", err)
			}
		})
	}
	calls.Wait()
	return accepted, refused
}

// More inputs at once than the log has room for: those that it has none for are refused, by a typed error. Few large
// entries fill it, so that no checkpoint is due by their number, and once it is full it takes no CHECKPOINT either: it is
// cut all the same and goes on by itself, and what was accepted is there, once.
func TestLogFull(t *testing.T) {
	n := founded(t)
	if err := os.WriteFile(filepath.Join(n.dir, "kv.wasm"), kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	n.startAll()
	n.must("deploy", "kv", "kv.wasm", "--log-bytes", "2MiB")
	cl := n.client("client.nk")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var accepted, refused []string
	for i := 0; len(refused) == 0; i++ {
		a, r := n.burst(ctx, cl, fmt.Sprint("burst", i, "-"))
		accepted, refused = append(accepted, a...), r
	}
	for i := range 50 { // more than the log has room for
		key := fmt.Sprint("after", i)
		for {
			_, err := cl.Call(ctx, large(key))
			if err == nil {
				break
			}
			if !errors.Is(err, ordering.ErrFull) {
				t.Fatal(err)
			}
		}
		accepted = append(accepted, key)
	}
	t.Logf("%d accepted, %d refused", len(accepted), len(refused))
	read := func(key string) (string, bool) {
		out, err := cl.Query(ctx, kv.Get(key), client.Linearizable)
		if err != nil {
			t.Fatal(err)
		}
		value, there, err := kv.DecodeGet(out.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return string(value), there
	}
	for _, key := range accepted {
		if value, there := read(key); !there || value[60<<10:] != key {
			t.Errorf("%s was accepted, and is not there", key)
		}
	}
	for _, key := range refused {
		if _, there := read(key); there {
			t.Errorf("%s was refused, and is there", key)
		}
	}
	n.awaitVoting("kv")
}
