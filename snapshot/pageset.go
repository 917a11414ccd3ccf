package snapshot

import "math/bits"

// PageSet is a set of page indexes; the zero value is empty. To add or to ask for one costs O(1), what
// goes over all of them follows the span of the memory divided by 64.
type PageSet struct {
	words []uint64
	n     int // members
}

// Len is the number of members.
func (s *PageSet) Len() int { return s.n }

// Has tells whether a page is a member.
func (s *PageSet) Has(page uint32) bool {
	w := int(page / 64)
	return w < len(s.words) && s.words[w]&(1<<(page%64)) != 0
}

// Add adds pages.
func (s *PageSet) Add(pages ...uint32) {
	for _, i := range pages {
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

// Remove takes out a page.
func (s *PageSet) Remove(page uint32) {
	if s.Has(page) {
		s.words[page/64] &^= 1 << (page % 64)
		s.n--
	}
}

// Cut takes out all pages from one on.
func (s *PageSet) Cut(from uint32) {
	for w := int(from / 64); w < len(s.words); w++ {
		out := s.words[w]
		if w == int(from/64) {
			out &^= 1<<(from%64) - 1
		}
		s.words[w] &^= out
		s.n -= bits.OnesCount64(out)
	}
}

// List returns the members below limit, ascending.
func (s *PageSet) List(limit uint32) (pages []uint32) {
	for w, word := range s.words {
		for ; word != 0; word &= word - 1 {
			if i := uint32(w*64 + bits.TrailingZeros64(word)); i < limit {
				pages = append(pages, i)
			}
		}
	}
	return pages
}
