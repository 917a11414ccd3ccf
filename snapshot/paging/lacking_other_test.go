//go:build !linux

package paging

func lacking(Kind) string { return "it needs Linux" }

func faultsAreLogged() bool { return false }
