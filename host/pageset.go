package host

import "math/bits"

// pageSet is a set of page indexes, ascending when listed. Adding costs O(1),
// listing follows the span of the memory divided by 64.
type pageSet struct {
	words []uint64
	n     int // members
}

func (s *pageSet) add(indexes []uint32) {
	for _, i := range indexes {
		w := int(i / 64)
		if w >= len(s.words) {
			s.words = append(s.words, make([]uint64, w+1-len(s.words))...)
		}
		if bit := uint64(1) << (i % 64); s.words[w]&bit == 0 {
			s.words[w] |= bit
			s.n++
		}
	}
}

func (s *pageSet) remove(index uint32) {
	w, bit := int(index/64), uint64(1)<<(index%64)
	if w < len(s.words) && s.words[w]&bit != 0 {
		s.words[w] &^= bit
		s.n--
	}
}

// list returns the members below limit.
func (s *pageSet) list(limit uint32) []uint32 {
	var indexes []uint32
	for w, word := range s.words {
		for ; word != 0; word &= word - 1 {
			if i := uint32(w*64 + bits.TrailingZeros64(word)); i < limit {
				indexes = append(indexes, i)
			}
		}
	}
	return indexes
}

func (s *pageSet) clear() {
	clear(s.words)
	s.n = 0
}
