package engine

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"lockstep/snapshot/paging"
)

// memory is the linear memory of one guest, as wazero and as the host see it.
// It is the allocator that wazero asks for it.
type memory struct {
	pages *paging.Memory
	limit uint64     // bytes
	view  api.Memory // wazero's
	tell  bool       // Reallocate is to answer what there is
}

// Allocate implements experimental.MemoryAllocator. Guests have one memory.
func (m *memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate answers memory.grow, with nil where there is no more.
func (m *memory) Reallocate(size uint64) []byte {
	if m.tell {
		m.tell = false
		return m.pages.Live()
	}
	if size > m.limit {
		return nil
	}
	return m.pages.Grow(size)
}

// Free implements experimental.LinearMemory. The guest closes its memory itself,
// after wazero is done with it.
func (m *memory) Free() {}

// sync tells wazero a size that changed behind its back. Its public API knows
// only growth, by whatever the allocator returns: the instrumented module
// declares one page more than it may have, so that growing by one is always
// let through to the allocator, which answers with what there is.
func (m *memory) sync() {
	size := uint64(len(m.pages.Live()))
	m.tell = true
	if _, ok := m.view.Grow(1); !ok || m.tell || uint64(m.view.Size()) != size {
		panic(fmt.Sprintf("engine: wazero has %d bytes of memory, want %d", m.view.Size(), size))
	}
}
