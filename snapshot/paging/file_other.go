//go:build !linux

package paging

import "errors"

// file is there on Linux only.
type file struct{ live, committed []byte }

func mapFile(uint64) (*file, error) { return &file{}, errors.ErrUnsupported }

func (*file) close() error { return nil }

func newMemfd(*file) (tracker, error)       { return nil, errors.ErrUnsupported }
func newUserfaultfd(*file) (tracker, error) { return nil, errors.ErrUnsupported }
