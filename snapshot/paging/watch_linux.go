package paging

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// threadFaults is the number of page faults that this thread has had.
func threadFaults() int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		panic(fmt.Sprintf("paging: count page faults: %v", err)) // it never fails
	}
	return usage.Minflt + usage.Majflt
}
