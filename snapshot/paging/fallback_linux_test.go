package paging

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lacking tells why a tracker cannot work here; "" where it must.
func lacking(kind Kind) string {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	if err != nil {
		return "the system call is refused: " + err.Error()
	}
	defer func() { _ = unix.Close(fd) }()
	if holds, err := holeIsZero(fd); err != nil || !holds {
		return fmt.Sprintf("a hole made in a file in memory is not zero (%v)", err)
	}
	if _, err := os.Stat("/proc/self/pagemap"); err != nil {
		return err.Error()
	}
	if kind == Memfd {
		return ""
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err.Error()
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return err.Error()
	}
	if major < 6 || major == 6 && minor < 7 {
		return fmt.Sprintf("Linux %d.%d, before 6.7", major, minor)
	}
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = pagemap.Close() }()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, pagemap.Fd(), pagemapScan, 0); errno != unix.EFAULT {
		return "the pagemap is not scanned: " + errno.Error()
	}
	uffd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return "the system call is refused: " + errno.Error()
	}
	_ = unix.Close(int(uffd))
	return ""
}

// holeIsZero tells whether madvise(2) does as it says; under QEMU's user-mode emulation it does not.
func holeIsZero(fd int) (bool, error) {
	if err := unix.Ftruncate(fd, PageSize); err != nil {
		return false, err
	}
	b, err := unix.Mmap(fd, 0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return false, err
	}
	b[0] = 1
	err = unix.Madvise(b, unix.MADV_REMOVE)
	zero := b[0] == 0
	return zero, errors.Join(err, unix.Munmap(b))
}

// forbiddenEnv makes this binary forbid itself system calls, by number, before it
// runs its tests.
const forbiddenEnv = "LOCKSTEP_TEST_FORBID"

func TestMain(m *testing.M) {
	for number := range strings.FieldsSeq(os.Getenv(forbiddenEnv)) {
		var n uint32
		if _, err := fmt.Sscan(number, &n); err != nil {
			panic(err)
		}
		if err := forbid(n); err != nil {
			fmt.Println("forbid:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// forbid makes a system call fail with EPERM in all threads, by a filter such as
// container runtimes use. What is too large for the number of one is a request of ioctl.
func forbid(number uint32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const tsync = 1                       // SECCOMP_FILTER_FLAG_TSYNC
	const numberAt, requestAt = 0, 16 + 8 // the lower half of the second argument
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: numberAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if number > 1<<16 {
		filter = slices.Insert(filter, 1, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_IOCTL},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: requestAt})
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, tsync, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Where the system forbids what a tracker needs, the next one is taken, and the
// whole suite passes with it.
func TestFallback(t *testing.T) {
	if os.Getenv(forbiddenEnv) != "" {
		return // this is the process that falls back
	}
	for _, c := range []struct {
		forbidden []uint32
		want      Kind
	}{
		{nil, Userfaultfd},
		{[]uint32{unix.SYS_PERF_EVENT_OPEN}, Userfaultfd},
		{[]uint32{unix.SYS_USERFAULTFD}, Memfd},
		{[]uint32{unix.SYS_USERFAULTFD, unix.SYS_PROCESS_MADVISE}, Memfd},
		{[]uint32{pagemapScan}, Memfd}, // Linux before 6.7
		{[]uint32{unix.SYS_MEMFD_CREATE}, Compare},
	} {
		numbers := strings.Trim(fmt.Sprint(c.forbidden), "[]")
		t.Run("without "+numbers, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.v", "-test.run", "^(TestChosen|TestMemoryIsTheModel|TestCleanCommit|TestManyRuns|TestCostFollowsPages)$")
			child.Env = append(os.Environ(), forbiddenEnv+"="+numbers)
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := c.want
			if want == Userfaultfd && lacking(Userfaultfd) != "" {
				want = Memfd
			}
			if !strings.Contains(string(out), "chosen: "+want.String()+"\n") {
				t.Errorf("want %v chosen:\n%s", want, out)
			}
			if !strings.Contains(string(out), "--- PASS: TestMemoryIsTheModel/"+want.String()) {
				t.Errorf("the suite did not run with %v:\n%s", want, out)
			}
		})
	}
}

// TestChosen tells which tracker is taken when none is asked for.
func TestChosen(t *testing.T) {
	m := open(t, Auto, testMax)
	t.Logf("chosen: %v", m.Tracker())
	m.Grow(4 * PageSize)
	m.Live()[3*PageSize] = 1
	if got := fmt.Sprint(m.Commit()); got != "[0 1 2 3]" {
		t.Errorf("commit lists %s", got)
	}
}

// One that was asked for by name and cannot work is an error, not another one.
func TestNoFallbackByName(t *testing.T) {
	if os.Getenv(forbiddenEnv) == "" {
		child := exec.Command(os.Args[0], "-test.run", "^TestNoFallbackByName$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", forbiddenEnv, unix.SYS_USERFAULTFD))
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	m, err := New(Config{MaxBytes: testMax, Tracker: Userfaultfd})
	if err == nil {
		_ = m.Close()
	}
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "userfaultfd") {
		t.Errorf("forbidden userfaultfd by name: %v", err)
	}
}

// faultsAreLogged tells whether the kernel writes down for this process where page faults are.
func faultsAreLogged() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := borrowFaultLog()
	if l == nil {
		return false
	}
	l.giveBack()
	return true
}
