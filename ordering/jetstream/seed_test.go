package jetstream

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"lockstep/ordering"
)

var update = flag.Bool("update", os.Getenv("UPDATE") != "", "rewrite testdata")

// messageAt is when the messages of the vectors were stamped by the stream's leader.
const messageAt ordering.Time = 1_700_000_000_000_000_000

func hexOf(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

// TestSeedVectors pins the format in a file that other implementations can read, for the log of epoch 3. A line is a message on
// the seed subject and the entry that it is, "hex(message) epoch time hex(data)", or, where it is no seed,
// "hex(message) none".
func TestSeedVectors(t *testing.T) {
	const file = "testdata/seed.txt"
	ref := Ref{Machine: "m", Epoch: 3}
	whole := func(e ordering.Entry) string { return string(encodeSeed(e)) }
	messages := []string{
		whole(ordering.Entry{Epoch: 1, Time: 1_000_000_000_000_000_001, Data: []byte("a")}),
		whole(ordering.Entry{Epoch: 2, Time: -1, Data: nil}),
		whole(ordering.Entry{Epoch: 2, Time: math.MaxInt64, Data: []byte("LSY1")}),
		whole(ordering.Entry{Epoch: 3, Data: []byte("opening")}),
		whole(ordering.Entry{Epoch: 3, Time: 5, Data: []byte("its time is the message's")}),
		whole(ordering.Entry{Epoch: 0, Time: 5, Data: []byte("no epoch")}),
		whole(ordering.Entry{Epoch: 4, Time: 5, Data: []byte("an epoch to come")}),
		whole(ordering.Entry{Epoch: math.MaxUint64, Time: 5}),
		whole(ordering.Entry{Epoch: 1, Time: 5})[:seedHead-1],
		"LSY2" + whole(ordering.Entry{Epoch: 1, Time: 5})[4:],
		"",
	}
	var b strings.Builder
	for _, m := range messages {
		read := ordering.Entry{Epoch: ref.Epoch, Seq: 9, Time: messageAt, Data: []byte(m)}
		e := ref.entry(ref.seedPrefix()+"token", read)
		if e.Seq != read.Seq {
			t.Errorf("%x became an entry at %d", m, e.Seq)
		}
		if string(e.Data) == m {
			fmt.Fprintln(&b, hexOf([]byte(m)), "none")
		} else {
			fmt.Fprintln(&b, hexOf([]byte(m)), e.Epoch, int64(e.Time), hexOf(e.Data))
		}
		if in := ref.entry(ref.InputSubject(), read); string(in.Data) != m || in.Epoch != ref.Epoch || in.Time != messageAt {
			t.Errorf("a client's %x became %+v", m, in)
		}
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("seeds differ from %s:\n%s", file, got)
	}
}

// FuzzUnseed reads any message as a seed: none is of an epoch after the log's own, and what is of one before encodes to
// the same bytes.
func FuzzUnseed(f *testing.F) {
	ref := Ref{Machine: "m", Epoch: 3}
	f.Add([]byte(nil))
	for epoch := range ordering.Epoch(5) {
		f.Add(encodeSeed(ordering.Entry{Epoch: epoch, Time: 7, Data: []byte("data")}))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		e := ref.entry(ref.seedPrefix()+"token", ordering.Entry{Epoch: ref.Epoch, Seq: 9, Time: messageAt, Data: message})
		switch {
		case e.Seq != 9 || e.Epoch == 0 || e.Epoch > ref.Epoch:
			t.Fatalf("%x became %+v", message, e)
		case e.Epoch == ref.Epoch && e.Time != messageAt:
			t.Fatalf("%x set the time of the log's own entry to %d", message, e.Time)
		case e.Epoch < ref.Epoch && !bytes.Equal(encodeSeed(e), message):
			t.Fatalf("%x became %+v, which is %x", message, e, encodeSeed(e))
		}
	})
}

// Where seeds go cannot be told from what a log is of: each time it is made it is another place.
func TestSeedSubjects(t *testing.T) {
	ref := Ref{Machine: "m", Epoch: 3}
	one, other := ref.newSeedSubject(), ref.newSeedSubject()
	if len(one) != len("lockstep.m.seed.3.")+32 || one == other {
		t.Errorf("subjects %s, %s", one, other)
	}
	for subject, want := range map[string]bool{
		one: true, "lockstep.m.seed.3.x": true,
		"lockstep.m.seed.3": false, "lockstep.m.seed.3.": false, "lockstep.m.seed.3.*": false, "lockstep.m.seed.3.>": false, "lockstep.m.seed.3.a.b": false,
		"lockstep.m.seed.33.x": false, "lockstep.other.seed.3.x": false, ref.InputSubject(): false,
	} {
		if got := ref.isSeed(subject); got != want {
			t.Errorf("%s is a place of seeds: %v", subject, got)
		}
	}
	in, control := ref.InputSubject(), ref.ControlSubject()
	for _, tc := range []struct {
		subjects []string
		want     bool
	}{
		{[]string{in, control}, true},
		{[]string{in, control, one}, true},
		{[]string{one}, true},
		{[]string{one, other}, false},
		{[]string{one, in, control}, false},
		{[]string{in, one}, false},
		{[]string{in, control, one, other}, false},
		{nil, false},
	} {
		if got := ref.hasSubjects(tc.subjects); got != tc.want {
			t.Errorf("it may have %v: %v", tc.subjects, got)
		}
	}
	first := Ref{"m", 1}
	if first.hasSubjects([]string{first.InputSubject(), first.ControlSubject(), first.newSeedSubject()}) {
		t.Error("the first epoch may have seeds")
	}
}
