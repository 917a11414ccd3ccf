package snapshot

import (
	"fmt"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
)

// Manifest names one state of a machine. Its root is the digest of everything
// in it: whoever trusts the root can check any part of the state.
type Manifest struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Epoch   ordering.Epoch
	Seq     ordering.Seq
	Chain   ordering.Chain
	Size    uint64       // bytes of memory, a multiple of 64 KiB
	Pages   audit.Digest // root of the page tree
	Globals []uint64     // the guest's, in the module's order
	System  []byte       // the host's part of the state
}

// ManifestFormat is the encoding of a manifest.
const ManifestFormat canonical.Format = "LSN1"

// rootContext separates roots from all other digests.
const rootContext = "lockstep 2026-11 state root v1"

// Limits of a manifest.
const (
	maxGlobals = 1 << 16
	wasmPage   = 64 << 10
)

// Root is the digest of the state.
func (m Manifest) Root() audit.Digest {
	h := blake3.NewDeriveKey(rootContext)
	_, _ = h.Write(m.Encode())
	var root audit.Digest
	h.Sum(root[:0])
	return root
}

// Encode returns the canonical bytes.
func (m Manifest) Encode() []byte { return ManifestFormat.Encode(m) }

// DecodeManifest reads a manifest and checks its limits. Whether it is the
// right one is for its root to say.
func DecodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := ManifestFormat.Decode(data, &m); err != nil {
		return m, err
	}
	if m.Size%wasmPage != 0 || m.Size > MaxPages*PageSize {
		return m, fmt.Errorf("manifest has %d bytes of memory, want a multiple of 64 KiB up to 4 GiB", m.Size)
	}
	if len(m.Globals) > maxGlobals {
		return m, fmt.Errorf("manifest has %d globals, want at most %d", len(m.Globals), maxGlobals)
	}
	return m, nil
}
