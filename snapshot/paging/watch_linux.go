package paging

import "golang.org/x/sys/unix"

// threadFaults is the number of page faults that this thread has had. ok is false where nobody tells, as in some sandboxes.
func threadFaults() (n int64, ok bool) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &usage)
	return usage.Minflt + usage.Majflt, err == nil
}
