package paging

import "runtime"

// watch tells without a scan that no page was written which did not count as written before: the first write to
// one is a page fault, and the kernel counts those of each thread. To ask for the count costs a quarter
// of the shortest scan, however large the memory is.
type watch struct {
	counts bool  // the kernel was seen to count them
	on     bool  // the goroutine stays on its thread
	listed bool  // Memory.written has all pages that count as written
	faults int64 // of the thread, before they were listed
}

// Watch makes Undo and Commit cheaper until stop is called, from the second on, where
// the guest writes to the same pages again. Until then all is done by this goroutine, on one thread.
func (m *Memory) Watch() (stop func()) {
	if !m.watch.counts {
		return func() {}
	}
	runtime.LockOSThread()
	m.watch.on = true
	return func() {
		m.watch.on, m.watch.listed = false, false
		runtime.UnlockOSThread()
	}
}

// find has written list the committed pages that count as written.
func (m *Memory) find() {
	if w := &m.watch; w.on {
		faults, ok := threadFaults()
		if ok && w.listed && faults == w.faults {
			return
		}
		w.listed, w.faults = ok, faults
	}
	m.written = m.tracker.peek(0, m.committedSize, m.written[:0])
}

// probeFaults tells whether the kernel counts a fault at each first write that the tracker is to
// find, on a memory that is all zero, and leaves it so.
func (m *Memory) probeFaults() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	told := 0
	for range 2 {
		before, _ := threadFaults()
		m.live[0] = 1
		if after, ok := threadFaults(); ok && after > before {
			told++
		}
		m.committed[0] = 1
		m.tracker.settle([]uint32{0}, 1)
	}
	m.tracker.cut(0, PageSize)
	return told == 2
}
