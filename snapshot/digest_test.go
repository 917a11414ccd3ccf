package snapshot_test

import (
	"math/rand/v2"
	"testing"

	"lockstep/audit"
	"lockstep/snapshot"
)

// Digests of many pages are those of each, however many there are, wherever they are and whatever they hold.
func TestPageDigests(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	memory := make([]byte, 64*snapshot.PageSize)
	for i := range memory[8*snapshot.PageSize:] {
		memory[8*snapshot.PageSize+i] = byte(r.Uint32())
	}
	for n := range 40 {
		pages, digests := make([][]byte, n), make([]audit.Digest, n)
		for i := range pages {
			pages[i] = memory[r.IntN(len(memory)-snapshot.PageSize):][:snapshot.PageSize]
		}
		snapshot.PageDigests(pages, digests)
		for i := range pages {
			if want := snapshot.PageDigest(pages[i]); digests[i] != want {
				t.Fatalf("page %d of %d has digest %v, want %v", i, n, digests[i], want)
			}
		}
	}
}

func BenchmarkPageDigests(b *testing.B) {
	memory := make([]byte, 32*snapshot.PageSize)
	var pages [][]byte
	for i := range 32 {
		pages = append(pages, memory[i*snapshot.PageSize:][:snapshot.PageSize])
	}
	digests := make([]audit.Digest, 32)
	b.Run("together", func(b *testing.B) {
		b.SetBytes(int64(len(memory)))
		for b.Loop() {
			snapshot.PageDigests(pages, digests)
		}
	})
	b.Run("alone", func(b *testing.B) {
		b.SetBytes(int64(len(memory)))
		for b.Loop() {
			for i := range pages {
				digests[i] = snapshot.PageDigest(pages[i])
			}
		}
	})
}
