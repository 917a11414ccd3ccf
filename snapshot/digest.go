package snapshot

import (
	"github.com/zeebo/blake3"

	"lockstep/audit"
)

// Digests of pages and of nodes cannot be mistaken for each other: the bytes
// under the first are always 4,096, under the second 1,024.

// PageDigest is the digest of one page, PageSize bytes.
func PageDigest(page []byte) audit.Digest { return audit.Digest(blake3.Sum256(page)) }

// PageDigests computes the digests of pages, for which digests must have room. It takes a third of the time that they take one
// by one, where the processor has registers for four pages side by side: the four chunks of one fill half of what the
// library works with, or a quarter.
func PageDigests(pages [][]byte, digests []audit.Digest) {
	for i := pageDigests(pages, digests); i < len(pages); i++ {
		digests[i] = PageDigest(pages[i])
	}
}

// NodeDigest is the digest of one encoded node, NodeSize bytes.
func NodeDigest(encoded []byte) audit.Digest { return audit.Digest(blake3.Sum256(encoded)) }

// ZeroPage is the digest of a page of zeros.
var ZeroPage = PageDigest(make([]byte, PageSize))
