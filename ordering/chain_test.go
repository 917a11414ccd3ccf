package ordering

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
)

var update = flag.Bool("update", os.Getenv("UPDATE") != "", "rewrite testdata")

// vectorEntries is a log whose fields sit at their limits.
func vectorEntries() []Entry {
	long := make([]byte, 5000) // several BLAKE3 chunks
	for i := range long {
		long[i] = byte(i % 251)
	}
	return []Entry{
		{Epoch: 1, Seq: 1, Time: 1_700_000_000_000_000_000},
		{Epoch: 1, Seq: 2, Time: 1_700_000_000_000_000_001, Data: []byte("a")},
		{Epoch: 1, Seq: 3, Time: -1, Data: []byte("time before 1970")},
		{Epoch: 2, Seq: 4, Time: 0, Data: long},
		{Epoch: math.MaxUint64, Seq: math.MaxUint64, Time: math.MaxInt64, Data: []byte{0}},
	}
}

// TestChainVectors pins the format: one line an entry, "epoch seq time
// hex(data) hex(chain)", in a file that other implementations can read.
func TestChainVectors(t *testing.T) {
	const file = "testdata/chain.txt"
	var c Chain
	var b strings.Builder
	for _, e := range vectorEntries() {
		c = c.Next(e)
		data := hex.EncodeToString(e.Data)
		if data == "" {
			data = "-"
		}
		fmt.Fprintf(&b, "%d %d %d %s %x\n", e.Epoch, e.Seq, e.Time, data, c[:])
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
		t.Errorf("chain differs from %s:\n%s", file, got)
	}
}

// TestChainIsItsDefinition computes the chain as its comment says, by hand.
func TestChainIsItsDefinition(t *testing.T) {
	var got Chain
	want := make([]byte, 32)
	for _, e := range vectorEntries() {
		got = got.Next(e)
		in := append([]byte("lockstep chain v1\x00"), want...)
		in = binary.BigEndian.AppendUint64(in, uint64(e.Epoch))
		in = binary.BigEndian.AppendUint64(in, uint64(e.Seq))
		in = binary.BigEndian.AppendUint64(in, uint64(e.Time))
		in = binary.BigEndian.AppendUint64(in, uint64(len(e.Data)))
		in = append(in, e.Data...)
		sum := blake3.Sum256(in)
		want = sum[:]
		if string(got[:]) != string(want) {
			t.Fatalf("chain after seq %d = %x, want %x", e.Seq, got[:], want)
		}
	}
}

// TestChainSeesEveryBit flips each bit that the chain is made of: whatever it
// ignored, two replicas could differ in unseen.
func TestChainSeesEveryBit(t *testing.T) {
	base := Entry{Epoch: 3, Seq: 7, Time: 99, Data: []byte("some input bytes, a little more than one BLAKE3 block of 64 bytes long")}
	start := Chain{1, 2, 3}
	seen := map[Chain]string{start.Next(base): "base"}
	check := func(what string, c Chain, e Entry) {
		t.Helper()
		next := c.Next(e)
		if other, dup := seen[next]; dup {
			t.Errorf("%s gives the same chain as %s", what, other)
		}
		seen[next] = what
	}
	for bit := range 64 {
		e := base
		e.Epoch ^= 1 << bit
		check(fmt.Sprint("epoch bit ", bit), start, e)
		e = base
		e.Seq ^= 1 << bit
		check(fmt.Sprint("seq bit ", bit), start, e)
		e = base
		e.Time ^= 1 << bit
		check(fmt.Sprint("time bit ", bit), start, e)
	}
	for bit := range 8 * len(start) {
		c := start
		c[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprint("chain bit ", bit), c, base)
	}
	for bit := range 8 * len(base.Data) {
		e := base
		e.Data = append([]byte(nil), base.Data...)
		e.Data[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprint("data bit ", bit), start, e)
	}
	for n := range len(base.Data) {
		e := base
		e.Data = base.Data[:n]
		check(fmt.Sprint("data cut to ", n), start, e)
	}
	e := base
	e.Data = append(append([]byte(nil), base.Data...), 0)
	check("data with a zero appended", start, e)
}

func BenchmarkChain(b *testing.B) {
	for _, size := range []int{128, 4096, MaxEntry} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := Entry{Epoch: 1, Seq: 1, Time: 1, Data: make([]byte, size)}
			var c Chain
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c = c.Next(e)
			}
		})
	}
}
