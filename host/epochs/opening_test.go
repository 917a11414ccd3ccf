package epochs

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
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
	given := func(o *Opening) *Recovery {
		recover(o, "r0")
		o.Recovery[0].GiveWord(operator)
		return &o.Recovery[0]
	}
	add("word", func(o *Opening) { given(o) })
	add("word-of-the-replica", func(o *Opening) { given(o).GiveWord(v.keys[0]) })
	add("word-cut", func(o *Opening) { r := given(o); r.Word = r.Word[:63] })
	add("word-broken", func(o *Opening) { given(o).Word[10] ^= 1 })
	add("word-of-another-machine", func(o *Opening) { replay(v, given(o), func(r *Recovery) { r.Machine = "n" }) })
	add("word-of-another-epoch", func(o *Opening) { replay(v, given(o), func(r *Recovery) { r.Epoch = 1002 }) })
	add("word-of-another-base", func(o *Opening) { replay(v, given(o), func(r *Recovery) { r.Base = v.paths[0][10] }) })
	add("word-for-others", func(o *Opening) { replay(v, given(o), func(r *Recovery) { r.Voters = []audit.ReplicaID{"r0", "r2"} }) })
	add("word-for-another", func(o *Opening) { replay(v, given(o), func(r *Recovery) { r.Replica = "r1" }) })
	add("word-without-the-replica", func(o *Opening) { r := given(o); r.Signature = r.Word })
	return v.panel, named, list
}

// operator is the key of the machine's operator, where it has one.
var operator = ed25519.NewKeyFromSeed([]byte("the key of the machine's operato"))

// under is a membership with an operator's key.
func under(panel audit.Members) audit.Members {
	panel.Operator = audit.Operator(operator.Public().(ed25519.PublicKey))
	return panel
}

// replay puts an operator's word that was given for another recovery under one that is signed by its replica.
func replay(v *voterSet, r *Recovery, change func(*Recovery)) {
	other := *r
	change(&other)
	other.GiveWord(operator)
	r.Word = other.Word
	r.Sign(v.keys[0])
}

// TestOpeningVectors pins what opens an epoch, in a file that other implementations can read: the membership, an operator's
// key, and lines "opening", a name, whether it proves where the membership has no operator's key, whether where it has this, and
// the opening in hexadecimal.
func TestOpeningVectors(t *testing.T) {
	const file = "testdata/openings.txt"
	panel, named, list := openings(t)
	var b strings.Builder
	for _, m := range panel.List {
		fmt.Fprintf(&b, "voter %s %s\n", m.ID, hex.EncodeToString(m.Key))
	}
	fmt.Fprintf(&b, "operator %x\n", under(panel).Operator)
	for _, name := range named {
		o := list[name]
		text := OpeningFormat.Encode(o)
		var read Opening
		if err := OpeningFormat.Decode(text, &read); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&b, "opening %s %v %v %x\n", name, read.Verify(panel) == nil, read.Verify(under(panel)) == nil, text)
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
		if o.Verify(panel) == nil || o.Verify(under(panel)) == nil {
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
		if (o.Verify(panel) == nil || o.Verify(under(panel)) == nil) && !proved[o.Base] {
			t.Fatalf("%x is proved to go on after %v", text, o.Base)
		}
	})
}

// What an operator's signature is worth: with a key in the membership a recovery is nothing without, in every mode, and no other
// signature is one; without a key it is as it was, and a signature is refused that nobody could check.
func TestWord(t *testing.T) {
	panel, named, list := openings(t)
	for _, mode := range []audit.Mode{audit.Crash, audit.Majority, audit.Signed} {
		panel.Mode = mode
		for _, name := range named {
			o := list[name]
			if len(o.Recovery) == 0 {
				continue
			}
			if got, want := o.Verify(panel) == nil, name == "recovery"; mode != audit.Crash && got != want {
				t.Errorf("%v, without an operator's key, %s proves: %v", mode, name, got)
			}
			err := o.Verify(under(panel))
			if got, want := err == nil, name == "word"; mode != audit.Crash && got != want || got && !want {
				t.Errorf("%v, with an operator's key, %s proves: %v, %v", mode, name, got, err)
			}
			if name == "recovery" && !errors.Is(err, ErrNoWord) {
				t.Errorf("%v, with an operator's key, a recovery without its signature is %v", mode, err)
			}
		}
	}
}
