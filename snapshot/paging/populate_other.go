//go:build !linux

package paging

func populate([]byte) {}

func sparse([]byte) {}
