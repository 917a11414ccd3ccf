package paging

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/snapshot"
)

// What is frozen stays as it was while the memory goes on, whoever of several
// reads it, in whatever rhythm, and even after the memory was closed.
func TestFrozen(t *testing.T) {
	for _, kind := range kinds(t) {
		t.Run(kind.String(), func(t *testing.T) {
			for seed := range uint64(60) {
				runFrozen(t, kind, rand.New(rand.NewPCG(seed, 7)))
			}
		})
	}
}

// reading is a frozen memory that is read bit by bit, and what it must be.
type reading struct {
	*Frozen
	want []byte
	next uint32
}

func (r *reading) read(t *testing.T, rng *rand.Rand, n int) (done bool) {
	t.Helper()
	for range n {
		r.next += uint32(rng.IntN(3)) // some pages nobody asks for
		if int(r.next) >= len(r.want)/PageSize {
			r.Release()
			r.Release()
			return true
		}
		if !bytes.Equal(r.Page(r.next), page(r.want, r.next)) {
			t.Fatalf("frozen page %d changed", r.next)
		}
		r.next++
	}
	return false
}

func runFrozen(t *testing.T, kind Kind, rng *rand.Rand) {
	t.Helper()
	m := open(t, kind, testMax)
	var readings []*reading
	for range 80 {
		switch size := uint64(len(m.Live())); rng.IntN(7) {
		case 0:
			m.Grow(min(size+uint64(rng.IntN(9))*PageSize, testMax))
		case 1:
			m.Undo()
			m.Resize(uint64(rng.IntN(65)) * PageSize)
		case 2:
			if n := uint64(len(m.Committed())); n > 0 && n == size {
				m.Write(snapshot.Page{Index: uint32(rng.IntN(int(n / PageSize))), Data: bytes.Repeat([]byte{byte(rng.Uint32())}, PageSize)})
			}
		case 3:
			if len(readings) < 3 {
				readings = append(readings, &reading{Frozen: m.Freeze(), want: bytes.Clone(m.Committed())})
			}
		case 4:
			m.Undo()
		default:
			for range rng.IntN(20) {
				if size > 0 {
					m.Live()[rng.IntN(int(size))] = byte(rng.Uint32())
				}
			}
			wrote := bytes.Clone(m.Live())
			m.Commit()
			if !bytes.Equal(m.Live(), wrote) || !bytes.Equal(m.Committed(), wrote) {
				t.Fatal("what was committed is not what was written")
			}
		}
		if len(readings) > 0 {
			i := rng.IntN(len(readings))
			if readings[i].read(t, rng, rng.IntN(6)) {
				readings = append(readings[:i], readings[i+1:]...)
			}
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range readings {
		for !r.read(t, rng, 9) {
		}
	}
}

// A reader in a goroutine of its own, as the writer of checkpoints is, while
// the guest goes on: for the race detector too.
func TestFrozenConcurrently(t *testing.T) {
	m := open(t, Auto, 256*PageSize)
	m.Grow(256 * PageSize)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		m.Commit()
		f, want := m.Freeze(), bytes.Clone(m.Committed())
		done := make(chan bool)
		go func() {
			same := true
			for i := range uint32(256) {
				same = same && bytes.Equal(f.Page(i), page(want, i))
			}
			f.Release()
			done <- same
		}()
		for reading := true; reading; {
			for range 32 {
				m.Live()[rng.IntN(256*PageSize)] = byte(rng.Uint32())
			}
			m.Commit()
			select {
			case same := <-done:
				if reading = false; !same {
					t.Error("a frozen page changed while it was read")
				}
			default:
			}
		}
	}
}

// BenchmarkFreeze is what a checkpoint costs the machine: taking it, and then
// the first overwriting of pages that are still to be read.
func BenchmarkFreeze(b *testing.B) {
	const pages = 1 << 16
	m := open(b, Auto, pages*PageSize)
	m.Grow(pages * PageSize)
	for at := 0; at < len(m.Live()); at += PageSize {
		m.Live()[at] = 1
	}
	m.Commit()
	b.Run("256MiB", func(b *testing.B) {
		for b.Loop() {
			m.Freeze().Release()
		}
	})
	for _, frozen := range []bool{false, true} {
		name := "commit of 256 pages"
		if frozen {
			name += ", frozen"
		}
		b.Run(name, func(b *testing.B) {
			v := byte(0)
			for b.Loop() {
				v++
				var f *Frozen
				if frozen {
					f = m.Freeze()
				}
				for i := range 256 {
					m.Live()[i*101*PageSize] = v
				}
				m.Commit()
				if frozen {
					f.Release()
				}
			}
		})
	}
}

// Pages that are kept for a reader take the place of the working memory's own copies, if it had some, and are given back as
// the reader goes on.
func TestKeptIsGivenBack(t *testing.T) {
	const size = 64 << 20
	for _, kind := range kinds(t) {
		if kind == Compare {
			continue // its working memory is its own
		}
		m := open(t, kind, size)
		m.Grow(size)
		write := func(v byte) {
			for at := 0; at < size; at += PageSize {
				m.Live()[at] = v
			}
			m.Commit()
		}
		write(1)
		f := m.Freeze()
		before := resident(t)
		write(2)
		room := int64(0) // that working copies made
		if kind == Userfaultfd {
			room = size
		}
		if grown := resident(t) - before + room; grown < size/2 || grown > size*5/4 {
			t.Errorf("%v: %d MiB were kept of %d", kind, grown>>20, size>>20)
		}
		for i := range uint32(size / PageSize) {
			if f.Page(i)[0] != 1 || m.Live()[i*PageSize] != 2 {
				t.Fatalf("%v: page %d was 1 when it was frozen and is 2, now %d and %d", kind, i, f.last[0], m.Live()[i*PageSize])
			}
		}
		drop(m.Live()) // mapped by being looked at
		if grown := resident(t) - before; grown > size/8 {
			t.Errorf("%v: %d MiB are kept when all was read", kind, grown>>20)
		}
		f.Release()
		m.Live()[3*PageSize]++
		if got := m.Commit(); !slices.Contains(got, 3) {
			t.Errorf("%v: a page that was given back and written is not told: %v", kind, got)
		}
	}
}
