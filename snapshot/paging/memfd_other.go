//go:build !linux

package paging

import "errors"

func mapMemfd(uint64) (live, committed []byte, err error) { return nil, nil, errors.ErrUnsupported }

func newMemfd([]byte) (tracker, error) { return nil, errors.ErrUnsupported }

func dropShared(b []byte) { clear(b) }
