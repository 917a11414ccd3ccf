package paging

import "math/bits"

// pageSet is a set of pages.
type pageSet struct {
	words []uint64
	n     int // members
}

func (s *pageSet) add(i uint32) {
	for int(i/64) >= len(s.words) {
		s.words = append(s.words, 0)
	}
	if bit := uint64(1) << (i % 64); s.words[i/64]&bit == 0 {
		s.words[i/64] |= bit
		s.n++
	}
}

func (s *pageSet) has(i uint32) bool {
	return int(i/64) < len(s.words) && s.words[i/64]&(1<<(i%64)) != 0
}

// cut takes out all pages from one on.
func (s *pageSet) cut(from uint32) {
	for w := int(from / 64); w < len(s.words); w++ {
		out := s.words[w] &^ (1<<(from%64) - 1)
		if w > int(from/64) {
			out = s.words[w]
		}
		s.words[w] &^= out
		s.n -= bits.OnesCount64(out)
	}
}
