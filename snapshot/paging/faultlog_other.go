//go:build !linux

package paging

// faultLog is there on Linux only.
type faultLog struct{}

func borrowFaultLog() *faultLog { return nil }

func (*faultLog) giveBack()                       {}
func (*faultLog) skip()                           {}
func (*faultLog) pages([]byte, func(uint32)) bool { return false }
