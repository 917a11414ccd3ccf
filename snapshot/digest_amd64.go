package snapshot

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"

	"lockstep/audit"
)

// digestFour computes the BLAKE3 of four pages side by side; word i of that of page j is words[i][4*j].
//
//go:noescape
func digestFour(pages *[4]*byte, words *[8][16]uint32)

var fourAtOnce = cpu.X86.HasAVX512F

// pageDigests is PageDigests for as many pages as there are four at once; it returns how many.
func pageDigests(pages [][]byte, digests []audit.Digest) (done int) {
	if !fourAtOnce {
		return 0
	}
	var words [8][16]uint32
	for ; done+4 <= len(pages); done += 4 {
		var four [4]*byte
		for j := range four {
			four[j] = &pages[done+j][:PageSize][0]
		}
		digestFour(&four, &words)
		for j := range four {
			for i := range words {
				binary.LittleEndian.PutUint32(digests[done+j][4*i:], words[i][4*j])
			}
		}
	}
	return done
}
