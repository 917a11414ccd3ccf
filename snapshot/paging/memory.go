// Package paging is the linear memory of a guest: a reserved mapping with a
// fixed base, the pages written since the last commit, and the committed copy
// that a failed input is undone from.
package paging
