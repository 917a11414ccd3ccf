package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/ordering"
)

// disk is a small one in memory, of a node's own.
type disk struct {
	t   *testing.T
	dir string
}

// mountDisk gives node i a disk for all that it keeps.
func (n *processes) mountDisk(i int) disk {
	n.t.Helper()
	d := disk{n.t, filepath.Join(n.dir, "c", fmt.Sprintf("n%d", i+1), "data")}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=200m"); err != nil {
		n.t.Skipf("no disks of their own here: %v; TestLogFull is about logs that are full", err)
	}
	n.t.Cleanup(func() {
		n.end(i, syscall.SIGKILL)
		if err := syscall.Unmount(d.dir, 0); err != nil {
			n.t.Error(err)
		}
	})
	return d
}

// fill leaves so many bytes.
func (d disk) fill(leave int64) {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "other"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(make([]byte, max(0, int64(s.Bavail)*s.Bsize-leave))); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d disk) free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "other")); err != nil {
		d.t.Fatal(err)
	}
}

// counter is what was accepted of calls that count, and what may have been besides.
type counter struct {
	n              *processes
	cl             *client.Client
	accepted, open int64
}

// add calls until done says so of the outcome. What it adds is large enough to be an entry that counts.
func (c *counter) add(what string, done func(error) bool) {
	t := c.n.t
	t.Helper()
	deadline := time.Now().Add(patience)
	var last error
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, last = c.cl.Call(ctx, kv.Add("n", 1))
		cancel()
		var open *client.FailError
		switch {
		case last == nil:
			c.accepted++
		case errors.As(last, &open) && open.Fate != client.Unsent:
			c.open++
		case !errors.Is(last, ordering.ErrFull) && open == nil:
			t.Fatalf("%s: %v", what, last)
		}
		if done(last) {
			return
		}
	}
	t.Fatalf("%s did not come: the last call: %v", what, last)
}

func answered(err error) bool { return err == nil }

func full(err error) bool { return errors.Is(err, ordering.ErrFull) }

// check wants what was accepted, and no more than may have been done.
func (c *counter) check() {
	t := c.n.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := c.cl.Call(ctx, kv.Add("n", 0))
	if err != nil {
		t.Fatal(err)
	}
	got, err := kv.DecodeNumber(out.Bytes)
	if err != nil || got < c.accepted || got > c.accepted+c.open {
		t.Errorf("the count is %d, %v; %d calls were accepted, and of %d nobody knows", got, err, c.accepted, c.open)
	}
	t.Logf("%d accepted, %d without an answer", c.accepted, c.open)
}

// problem waits until status says of a node what is wrong, or no more.
func (n *processes) problem(i int, want string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for {
		var is []string
		for _, r := range n.replicas("kv") {
			if string(r.Node) == fmt.Sprint("n", i+1) {
				is = append(is, r.Problem)
			}
		}
		if len(is) == 1 && (want == "" && is[0] == "" || want != "" && strings.Contains(is[0], want)) {
			return
		}
		select {
		case <-ctx.Done():
			n.t.Fatalf("status of n%d says %q, want %q", i+1, is, want)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// onDisks is three nodes with disks of their own.
func onDisks(t *testing.T) (*processes, []disk, *counter) {
	t.Helper()
	n := founded(t)
	var disks []disk
	for i := range 3 {
		disks = append(disks, n.mountDisk(i))
	}
	if err := os.WriteFile(filepath.Join(n.dir, "kv.wasm"), kv.V2, 0o600); err != nil {
		t.Fatal(err)
	}
	n.startAll()
	n.must("deploy", "kv", "kv.wasm", "--log-bytes", "8MiB")
	c := &counter{n: n, cl: n.client("client.nk")}
	c.add("an answer", answered)
	return n, disks, c
}

// goesOn makes room on the disks: inputs are taken again, by themselves, and all that was accepted is there.
func (c *counter) goesOn(disks []disk) {
	c.n.t.Helper()
	for _, d := range disks {
		d.free()
	}
	c.add("an answer", answered)
	for i := range disks {
		c.n.problem(i, "")
	}
	c.check()
	c.n.awaitVoting("kv")
}

// The disks of all nodes come to be nearly full: inputs are refused before anything fails, with the reason, and are taken
// again once there is room.
func TestDiskNearlyFull(t *testing.T) {
	n, disks, c := onDisks(t)
	for _, d := range disks {
		d.fill(60 << 20)
	}
	c.add("a refusal", full)
	for i := range disks {
		n.problem(i, "is full")
	}
	out, errs, code := n.lockstep("call", "kv", "-i", "hex", fmt.Sprintf("%x", kv.Add("n", 1)))
	if code != exitFailed || !strings.Contains(errs, "log is full") {
		t.Errorf("call: exit code %d, %s%s", code, out, errs)
	}
	c.goesOn(disks)
}

// The disks of nodes are full to the last byte, at once: of one, whose votes wait while the others go on; of all, when nothing
// can be ordered. When there is room they go on by themselves, and all that was accepted is there.
func TestDiskFull(t *testing.T) {
	n, disks, c := onDisks(t)
	disks[0].fill(0)
	for range 20 {
		c.add("an answer", answered)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 5 { // more than the megabyte that a journal has written ahead
		if _, err := c.cl.Call(ctx, kv.Put("large", make([]byte, 250<<10))); err != nil {
			t.Fatal(err)
		}
	}
	n.problem(0, "votes wait for the disk")
	if rows := n.replicas("kv"); len(rows) != 3 {
		t.Errorf("status says %+v", rows)
	}
	disks[0].free()
	n.problem(0, "")
	for range 5 {
		c.add("an answer", answered)
	}
	n.awaitVoting("kv")

	for _, d := range disks {
		d.fill(0)
	}
	for c.open == 0 {
		c.add("no answer", func(err error) bool { return err != nil })
	}
	for i := range disks {
		n.problem(i, "is full")
	}
	c.goesOn(disks)
}
