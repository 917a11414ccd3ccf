package paging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// faultLog has the kernel write down where the page faults of one thread are, those of user mode: a software
// event of perf_event_open(2) with its ring buffer. To read it takes no system call, and the fault itself
// 0.4 µs more. It needs no privilege where kernel.perf_event_paranoid is 2 or less;
// Debian's and Ubuntu's kernels, and many containers, forbid it.
type faultLog struct {
	thread int
	fd     int
	head   *atomic.Uint64 // how much was ever written to the ring; the kernel's
	tail   *atomic.Uint64 // how much of it was read; ours
	ring   []byte
	mapped []byte
}

// Layout and numbers of the kernel's linux/perf_event.h.
const (
	perfRingPages = 4 // a power of two
	perfRing      = perfRingPages * PageSize
	perfHead      = 1024 // where data_head is in the control page
	perfTail      = 1032
)

// perfSample is what each fault begins with, PERF_RECORD_SAMPLE of user mode and 16 bytes; the other 8 are the address.
var perfSample = binary.NativeEndian.Uint64(binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint32(nil, 9), 2), 16))

// faultLogs are those of all threads, whichever memory is watched there: to open one takes tens of microseconds,
// the first one of a system milliseconds. What all rings take is less than each user may lock
// (kernel.perf_event_mlock_kb).
var faultLogs struct {
	sync.Mutex
	idle   []*faultLog
	failed bool // the kernel does not
}

const maxIdleLogs = 16

// borrowFaultLog returns the log of this thread, to which the goroutine is locked until it gives it back; nil where the kernel
// keeps none.
func borrowFaultLog() *faultLog {
	p := &faultLogs
	p.Lock()
	defer p.Unlock()
	thread := unix.Gettid()
	if i := slices.IndexFunc(p.idle, func(l *faultLog) bool { return l.thread == thread }); i >= 0 {
		l := p.idle[i]
		p.idle = slices.Delete(p.idle, i, i+1)
		if l.alive() {
			return l
		}
		l.close() // of a thread before that had the same number
	}
	if p.failed {
		return nil
	}
	l, err := openFaultLog(thread)
	if err != nil {
		p.failed = true
		return nil
	}
	return l
}

// giveBack lets others on this thread have the log.
func (l *faultLog) giveBack() {
	p := &faultLogs
	p.Lock()
	defer p.Unlock()
	if p.idle = append(p.idle, l); len(p.idle) > maxIdleLogs {
		p.idle[0].close()
		p.idle = slices.Delete(p.idle, 0, 1)
	}
}

func openFaultLog(thread int) (*faultLog, error) {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_PAGE_FAULTS, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample: 1, Sample_type: unix.PERF_SAMPLE_ADDR, Wakeup: 2 * perfRing, // never
		Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv | unix.PerfBitWatermark,
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("perf_event_open: %w", err)
	}
	mapped, err := unix.Mmap(fd, 0, PageSize+perfRing, readWrite, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map ring: %w", err), unix.Close(fd))
	}
	l := &faultLog{
		thread: thread, fd: fd, mapped: mapped, ring: mapped[PageSize:],
		head: (*atomic.Uint64)(unsafe.Pointer(&mapped[perfHead])), tail: (*atomic.Uint64)(unsafe.Pointer(&mapped[perfTail])),
	}
	if err := l.probe(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// probe reads and then writes to a page that nobody has touched: the log must have both.
func (l *faultLog) probe() error {
	memory, err := unix.Mmap(-1, 0, 2*PageSize, readWrite, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("map a page: %w", err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	own := memory[PageSize:]
	l.skip()
	own[5] = own[3] + 1
	told := 0
	if !l.pages(own, func(uint32) { told++ }) || told != 2 {
		return fmt.Errorf("%d page faults were told of 2: %w", told, errors.ErrUnsupported)
	}
	return nil
}

// alive tells whether its thread is.
func (l *faultLog) alive() bool {
	fds := []unix.PollFd{{Fd: int32(l.fd)}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) == 0
}

// skip passes over what was written down.
func (l *faultLog) skip() { l.tail.Store(l.head.Load()) }

// pages calls found for the page of each fault in a part of memory since the last call or skip. It returns
// false if some may be missing: what there is no room for is lost.
func (l *faultLog) pages(memory []byte, found func(uint32)) bool {
	head, tail := l.head.Load(), l.tail.Load()
	defer l.tail.Store(head)
	if head-tail > perfRing/2 {
		return false
	}
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	for ; tail < head; tail += 16 {
		if l.word(tail) != perfSample {
			return false
		}
		if at := l.word(tail+8) - base; at < uint64(len(memory)) {
			found(uint32(at / PageSize))
		}
	}
	return true
}

// word returns 8 bytes of the ring, to multiples of which the kernel aligns what it writes down.
func (l *faultLog) word(at uint64) uint64 { return binary.NativeEndian.Uint64(l.ring[at%perfRing:]) }

func (l *faultLog) close() {
	_ = unix.Munmap(l.mapped)
	_ = unix.Close(l.fd)
}
