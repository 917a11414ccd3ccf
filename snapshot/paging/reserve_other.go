//go:build !linux && !darwin

package paging

func reserve(size uint64) ([]byte, error) { return make([]byte, size), nil }

func release([]byte) error { return nil }
