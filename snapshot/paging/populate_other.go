//go:build !linux

package paging

func populate([]byte) {}

func sparse([]byte) {}

// drop makes pages zero.
func drop(b []byte) { clear(b) }
