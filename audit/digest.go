package audit

import "encoding/hex"

// Digest is a BLAKE3-256 digest.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:8]) }

// Hex returns all 64 digits.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }
