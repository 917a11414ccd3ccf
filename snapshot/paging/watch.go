package paging

import (
	"runtime"
	"slices"
)

// watch tells without a scan which pages were written that did not count as written before: the first write to
// one is a page fault, and the kernel tells how many of those a thread has had, or, where it may, at which
// addresses. To ask for the count costs a quarter of the shortest scan, however large the memory is; to
// read the log costs nothing.
type watch struct {
	counts bool      // the kernel was seen to count them
	on     bool      // the goroutine stays on its thread
	listed bool      // Memory.written has all pages that count as written
	faults int64     // of the thread, before they were listed
	looks  int       // times that they were listed while on
	log    *faultLog // nil until that pays off, and where there is none
}

// looksLogged is the number of times after which the log is worth what it takes to have it.
const looksLogged = 8

// Watch makes Undo and Commit cheaper until stop is called, from the second on. Until then all is
// done by this goroutine, on one thread.
func (m *Memory) Watch() (stop func()) {
	if !m.watch.counts {
		return func() {}
	}
	runtime.LockOSThread()
	m.watch.on = true
	return m.watch.stop
}

func (w *watch) stop() {
	if w.log != nil {
		w.log.giveBack()
	}
	*w = watch{counts: w.counts}
	runtime.UnlockOSThread()
}

// find has written list the committed pages that count as written.
func (m *Memory) find() {
	if m.watch.on && m.findFaults() {
		return
	}
	m.written = m.tracker.peek(0, m.committedSize, m.written[:0])
}

// findFaults is find by the faults since the last time. It returns false where they tell too little;
// what is listed now is what the next time begins with.
func (m *Memory) findFaults() bool {
	w := &m.watch
	if w.looks++; w.looks == looksLogged {
		w.log = borrowFaultLog()
		w.listed = w.listed && w.log == nil
	}
	if w.log != nil {
		all := w.log.pages(m.live[:m.committedSize], m.addWritten)
		known := w.listed && all
		w.listed = true
		return known
	}
	faults, ok := threadFaults()
	known := ok && w.listed && faults == w.faults
	w.listed, w.faults = ok, faults
	return known
}

// addWritten puts a page among those that count as written.
func (m *Memory) addWritten(index uint32) {
	if at, has := slices.BinarySearch(m.written, index); !has {
		m.written = slices.Insert(m.written, at, index)
	}
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
