// Package archive is a checkpoint as one file: its manifest, its module and its
// pages, with all that is needed to check the state against its root and
// nothing of the store or the cluster that it comes from.
//
//	"LSE1"
//	u32 length, manifest      a message LSN1
//	u32 length, module        the guest's Wasm bytes; none before DEPLOY
//	frames:  u32 pages, u32 length, zstd( pages × u32 index, pages × 4096 bytes )
//	end:     u32 0, BLAKE3-256 of all bytes before it
//
// Integers are big endian. Indexes ascend through the whole file; pages of zeros
// are left out. There is one spelling of what is in it but for the compression.
// See docs/format/checkpoint.md.
package archive

import (
	"errors"

	"lockstep/snapshot"
)

// Magic starts every file.
const Magic = "LSE1"

// Limits of a file.
const (
	MaxManifest = 128 << 20
	MaxModule   = 64 << 20
	framePages  = 256
	frameBytes  = framePages * (4 + snapshot.PageSize)
	maxPacked   = frameBytes + frameBytes/64 + 1024 // of what does not compress
)

// Head is all of a checkpoint but its pages.
type Head struct {
	Manifest snapshot.Manifest
	Module   []byte // the bytes of the guest's module; empty if there is no guest
}

// Errors of reading. All but ErrRoot say that the file was cut or changed on its
// way.
var (
	ErrFormat = errors.New("not an exported checkpoint")
	ErrCut    = errors.New("exported checkpoint is cut short")
	ErrDigest = errors.New("exported checkpoint was changed: its closing digest is another")
	ErrRoot   = errors.New("pages of exported checkpoint are not those of its manifest")
)
