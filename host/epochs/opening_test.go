package epochs

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

var update = flag.Bool("update", os.Getenv("UPDATE") != "", "rewrite testdata")

// openings are of epoch 2 of machine m, whose three voters' logs went separate ways after seq 10: two went on
// to 20 together.
func openings(t testing.TB) (panel audit.Members, named []string, list map[string]Opening) {
	v := newVoters(3)
	v.read(0, 10, "a")
	v.read(1, 10, "a")
	v.read(2, 10, "a")
	v.read(0, 10, "b")
	v.read(1, 10, "b")
	v.read(2, 12, "c")
	_, stands := v.decide(t, 0, 1, 2)
	list = make(map[string]Opening)
	add := func(name string, change func(*Opening)) {
		o := Opening{Machine: "m", Epoch: 2, Base: stands[0].Last, Stands: append([]audit.Stand(nil), stands...)}
		change(&o)
		named, list[name] = append(named, name), o
	}
	recover := func(o *Opening, who ...audit.ReplicaID) {
		o.Stands = slices.DeleteFunc(o.Stands, func(s audit.Stand) bool { return !slices.Contains(who, s.Replica) })
		o.Recovery = []Recovery{{Machine: "m", Epoch: 2, Base: o.Base, Replica: "r0", Voters: who, Reason: "the others burnt"}}
		o.Recovery[0].Sign(v.keys[0])
	}
	add("all-voters", func(*Opening) {})
	add("the-two-that-agree", func(o *Opening) { o.Stands = o.Stands[:2] })
	add("two-that-differ", func(o *Opening) { o.Stands = o.Stands[1:] })
	add("one-voter", func(o *Opening) { o.Stands = o.Stands[:1] })
	add("nobody", func(o *Opening) { o.Stands = nil })
	add("one-voter-twice", func(o *Opening) { o.Stands = []audit.Stand{o.Stands[0], o.Stands[0]} })
	add("another-base", func(o *Opening) { o.Base = o.Stands[2].Last })
	add("an-earlier-base", func(o *Opening) { o.Base = v.paths[0][10] })
	add("another-epoch", func(o *Opening) { o.Epoch = 3 })
	add("another-machine", func(o *Opening) { o.Machine = "n" })
	add("forged-statement", func(o *Opening) { o.Stands[1].Last.Seq++ })
	add("recovery", func(o *Opening) { recover(o, "r0") })
	add("recovery-of-nobody", func(o *Opening) { recover(o) })
	add("recovery-of-a-stranger", func(o *Opening) { recover(o, "r0", "r9") })
	add("recovery-in-disorder", func(o *Opening) { recover(o, "r1", "r0") })
	add("recovery-forged", func(o *Opening) { recover(o, "r0"); o.Recovery[0].Reason = "no reason" })
	add("recovery-of-one-that-goes-on", func(o *Opening) { recover(o, "r0"); o.Stands = nil })
	add("recovery-without-need", func(o *Opening) { recover(o, "r0", "r1") })
	add("recovery-elsewhere", func(o *Opening) { recover(o, "r0"); o.Base = v.paths[2][22] })
	return v.panel, named, list
}

// TestOpeningVectors pins what opens an epoch, in a file that other implementations can read: the membership,
// and lines "opening", a name, whether it proves, and the opening in hexadecimal.
func TestOpeningVectors(t *testing.T) {
	const file = "testdata/openings.txt"
	panel, named, list := openings(t)
	var b strings.Builder
	for _, m := range panel.List {
		fmt.Fprintf(&b, "voter %s %s\n", m.ID, hex.EncodeToString(m.Key))
	}
	for _, name := range named {
		o := list[name]
		text := OpeningFormat.Encode(o)
		var read Opening
		if err := OpeningFormat.Decode(text, &read); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&b, "opening %s %v %x\n", name, read.Verify(panel) == nil, text)
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
		t.Errorf("openings differ from %s:\n%s", file, got)
	}
}

// FuzzOpening reads any bytes as an opening: what decodes encodes to the same bytes, and what is proved is what the voters
// signed.
func FuzzOpening(f *testing.F) {
	panel, named, list := openings(f)
	proved := make(map[ordering.Position]bool)
	for _, name := range named {
		o := list[name]
		f.Add(OpeningFormat.Encode(o))
		if o.Verify(panel) == nil {
			proved[o.Base] = true
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var o Opening
		if OpeningFormat.Decode(text, &o) != nil {
			return
		}
		if again := OpeningFormat.Encode(o); string(again) != string(text) {
			t.Fatalf("%x decodes, and encodes to %x", text, again)
		}
		if o.Verify(panel) == nil && !proved[o.Base] {
			t.Fatalf("%x is proved to go on after %v", text, o.Base)
		}
	})
}
