// Package snapshot is the state of a replica as data: pages and the digest
// tree over them, the delta between two states, and the manifest that names
// one state by its root.
package snapshot

import "lockstep/audit"

// PageSize is the unit of tracking, hashing and transfer, in bytes. A Wasm
// page of 64 KiB is 16 of them.
const PageSize = 4096

// MaxPages is the number of pages in the largest memory, 4 GiB.
const MaxPages = 1 << 20

// Delta turns one guest state into another: the memory is cut or extended
// with zeros to Size, then Pages are written and Globals replaced.
type Delta struct {
	Size    uint64   // bytes of memory afterwards, a multiple of 64 KiB
	Globals []uint64 // all of them, in the order of Guest.Globals; nil keeps them
	Pages   []Page   // any order, no index twice
}

// Page is one page of memory and its place.
type Page struct {
	Index uint32 // offset in memory divided by PageSize
	Data  []byte // PageSize bytes
	// Digest is that of Data if it was computed from it, and else zero.
	Digest audit.Digest
}
