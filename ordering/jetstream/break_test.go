package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

func appendN(t *testing.T, l ordering.Log, prefix string, n int) (last ordering.Seq) {
	t.Helper()
	for i := range n {
		var err error
		if last, err = l.Append(within(t, time.Minute), fmt.Append(nil, prefix, i)); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func wantBreak(t *testing.T, err error, reason string) {
	t.Helper()
	var br *ordering.BreakError
	if !errors.As(err, &br) || !strings.Contains(br.Reason, reason) {
		t.Errorf("got %v, want a break: %s", err, reason)
	}
}

// rolledBack is a log whose only server lost the last ten of twenty entries, all of
// them acknowledged and read by the handle: its directory is put back to a copy, as
// a restored virtual machine's is.
func rolledBack(t *testing.T) (c *jetstreamtest.Cluster, ref jetstream.Ref, l *jetstream.Log) {
	t.Helper()
	c = jetstreamtest.Start(t, 1)
	ref = newRef()
	create(t, c, jetstream.Config{Ref: ref})
	appendN(t, open(t, c, 0, ref), "kept", 10)
	c.Stop(0)
	backup := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(backup, os.DirFS(c.Dir(0))); err != nil {
		t.Fatal(err)
	}
	c.Restart(t, 0)
	l = open(t, c, 0, ref)
	if last := appendN(t, l, "lost", 10); last != 20 {
		t.Fatalf("last is %d, want 20", last)
	}
	readTo(t, l, 1, 20)
	c.Stop(0)
	if err := os.RemoveAll(c.Dir(0)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(c.Dir(0), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	c.Restart(t, 0)
	return c, ref, l
}

func TestLostTail(t *testing.T) {
	t.Run("Read", func(t *testing.T) {
		_, _, l := rolledBack(t)
		_, err := l.Read(within(t, time.Minute), 21)
		wantBreak(t, err, "the log ends at 10")
	})
	t.Run("ReadBlocked", func(t *testing.T) {
		c, ref, l := rolledBack(t)
		done := make(chan error, 1)
		ctx := within(t, time.Minute)
		go func() {
			_, err := l.Read(ctx, 21)
			done <- err
		}()
		appendN(t, open(t, c, 0, ref), "new", 15)
		wantBreak(t, <-done, "rewritten")
	})
	// Others had no entry to compare, and then the log grows to where the reader stands, or beyond.
	for _, n := range []int{10, 15} {
		t.Run(fmt.Sprint("Asked/", n), func(t *testing.T) {
			c, ref, l := rolledBack(t)
			appendN(t, open(t, c, 0, ref), "new", n)
			for ctx := within(t, time.Minute); ; {
				out, live, err := l.Ask(ctx, 21)
				if err == nil && !live && len(out) == 0 && ctx.Err() == nil {
					continue // no word: it is not connected again
				}
				wantBreak(t, err, "rewritten")
				return
			}
		})
	}
	t.Run("Regrown", func(t *testing.T) {
		c, ref, l := rolledBack(t)
		appendN(t, open(t, c, 0, ref), "new", 15)
		_, err := l.Read(within(t, time.Minute), 21)
		wantBreak(t, err, "rewritten")
		_, err = l.Read(within(t, time.Minute), 21)
		wantBreak(t, err, "rewritten")
	})
	t.Run("Append", func(t *testing.T) {
		_, _, l := rolledBack(t)
		var err error
		ctx := within(t, time.Minute)
		for err == nil || !errors.As(err, new(*ordering.BreakError)) {
			// Until the connection is back, there is no leader.
			if _, err = l.Append(ctx, []byte("x")); ctx.Err() != nil {
				t.Fatal(err)
			}
		}
		wantBreak(t, err, "given out again after 20")
		_, err = l.Read(ctx, 21)
		wantBreak(t, err, "given out again after 20")
	})
	t.Run("NewHandle", func(t *testing.T) {
		c, ref, _ := rolledBack(t)
		_, err := open(t, c, 0, ref).Read(within(t, time.Minute), 21)
		wantBreak(t, err, "the log ends at 10")
	})
}

// TestStreamDeletedUnderLoad deletes and re-creates the stream while entries are
// appended and read all the time. No reader goes on as if nothing had happened.
func TestStreamDeletedUnderLoad(t *testing.T) {
	c := jetstreamtest.Start(t, 3)
	ref := newRef()
	cfg := jetstream.Config{Ref: ref, Replicas: 3}
	create(t, c, cfg)
	ctx := within(t, 2*time.Minute)
	w := open(t, c, 0, ref)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_, _ = w.Append(ctx, fmt.Append(nil, i)) // fails while there is no stream
			}
		}
	}()
	type end struct {
		read int
		err  error
	}
	ends := make(chan end, 3)
	ready := make(chan struct{}, 3)
	for i := range 3 {
		l := open(t, c, i, ref)
		go func() {
			read := 0
			for next := ordering.Seq(1); ; {
				got, err := l.Read(ctx, next)
				if err != nil {
					ends <- end{read, err}
					return
				}
				if read == 0 {
					ready <- struct{}{}
				}
				read += len(got)
				next += ordering.Seq(len(got))
			}
		}()
	}
	for range 3 {
		<-ready
	}
	if err := jetstream.Delete(ctx, c.ConnectAny(t), ref); err != nil {
		t.Fatal(err)
	}
	create(t, c, cfg)
	for range 3 {
		e := <-ends
		t.Logf("after %d entries: %v", e.read, e.err)
		wantBreak(t, e.err, "")
	}
	close(stop)
	<-stopped
}

// TestReconnects cuts the reader's connection again and again under load: nothing
// is skipped and nothing comes twice.
func TestReconnects(t *testing.T) {
	const n = 2000
	c := jetstreamtest.Start(t, 1)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref})
	w := open(t, c, 0, ref)
	nc := c.Connect(t, 0)
	l, err := jetstream.Open(within(t, time.Minute), nc, ref, jetstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan error, 1)
	ctx := within(t, 2*time.Minute)
	go func() {
		for i := range n {
			if _, err := w.Append(ctx, fmt.Append(nil, i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for next := ordering.Seq(1); next <= n; {
		got, err := l.Read(ctx, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if want := fmt.Sprint(next - 1); e.Seq != next || string(e.Data) != want {
				t.Fatalf("entry %d %q, want %d %q", e.Seq, e.Data, next, want)
			}
			if next++; next%200 == 0 {
				if err := nc.ForceReconnect(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if nc.Stats().Reconnects == 0 {
		t.Error("the connection was never cut")
	}
}
