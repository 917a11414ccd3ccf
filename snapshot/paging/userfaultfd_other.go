//go:build !linux

package paging

import "errors"

func newUserfaultfd([]byte) (tracker, error) { return nil, errors.ErrUnsupported }

// drop makes pages zero.
func drop(b []byte) { clear(b) }
