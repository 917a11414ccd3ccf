package snapshot

// Frozen is a memory as it was at one moment, to be read while its machine goes
// on. One goroutine reads it, which need not be the machine's.
type Frozen interface {
	// Page returns the page at an index as it was. Indexes must ascend from call
	// to call: what was passed over cannot be had any more. The bytes are valid
	// until the next call.
	Page(index uint32) []byte

	// Release ends the reading. Until then the machine keeps what it overwrites.
	// A second call does nothing.
	Release()
}

// Checkpoint is a state that is to be kept: its manifest, its tree and its
// memory. Whoever is handed one releases its memory when done with it.
type Checkpoint struct {
	Manifest Manifest
	Tree     *TreeView
	Memory   Frozen
}

// Copied is a Frozen that has a copy of its own.
type Copied []byte

// Page implements Frozen.
func (c Copied) Page(index uint32) []byte { return c[int(index)*PageSize:][:PageSize] }

// Release implements Frozen.
func (Copied) Release() {}
