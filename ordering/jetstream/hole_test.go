package jetstream_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// firstBlock is the file with the oldest entries of a stream, of those that there are several of.
func firstBlock(t *testing.T, dir, stream string) (first string) {
	t.Helper()
	blocks := 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".blk") && strings.Contains(path, "/"+stream+"/msgs/") {
			if blocks++; first == "" || len(path) < len(first) || len(path) == len(first) && path < first {
				first = path
			}
		}
		return err
	})
	if err != nil || blocks < 2 {
		t.Fatalf("%d blocks of %s: %v", blocks, stream, err)
	}
	return first
}

// TestHole damages the older half of the only copy of a log. The entries missing there are told as a hole, with
// later ones behind it, and once a reader has them from elsewhere it goes on: it gets what was appended.
func TestHole(t *testing.T) {
	const n = 300
	c := jetstreamtest.Start(t, 1)
	ref := newRef()
	create(t, c, jetstream.Config{Ref: ref, MaxBytes: 120_000}) // of which JetStream makes blocks of 32,000
	w := open(t, c, 0, ref)
	acks := make(chan error, n)
	for i := range n {
		if err := w.AppendAsync(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 100), func(_ ordering.Seq, err error) { acks <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-acks; err != nil {
			t.Fatal(err)
		}
	}
	whole := readTo(t, w, 1, n)
	c.Stop(0)
	block := firstBlock(t, c.Dir(0), ref.StreamName())
	info, err := os.Stat(block)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(block, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	c.Restart(t, 0)

	js, err := njs.New(c.Connect(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(within(t, time.Minute), ref.StreamName())
	if err != nil {
		t.Fatal(err)
	}
	missing := func(seq ordering.Seq) bool {
		_, err := s.GetMsg(within(t, time.Minute), uint64(seq))
		return errors.Is(err, njs.ErrMsgNotFound)
	}
	var got []ordering.Entry
	l, patched := open(t, c, 0, ref), 0
	for ctx := within(t, 2*time.Minute); len(got) < n; {
		next := ordering.Seq(len(got) + 1)
		more, err := l.Read(ctx, next)
		if err == nil {
			got = append(got, more...)
			continue
		}
		var br *ordering.BreakError
		if !errors.As(err, &br) || !br.Hole || br.Epoch != 1 || br.Seq != next {
			t.Fatalf("Read(%d): %v, want a break there that is a hole", next, err)
		}
		// To miss one after another would take long: the second one stands for the rest.
		end := next
		if patched++; patched > 1 {
			for end < n && missing(end+1) {
				end++
			}
		}
		got = append(got, whole[next-1:end]...)
		l = open(t, c, 0, ref)
		l.Resume(got[len(got)-1])
	}
	if patched < 2 {
		t.Fatalf("%d entries were missed: the server has recovered", patched)
	}
	if chainOf(t, got[:n]) != chainOf(t, whole[:n]) {
		t.Error("what was read is not what was appended")
	}
}
