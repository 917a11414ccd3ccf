// Package impure is what a pure package must not be.
package impure

import (
	"maps"
	"slices"
)

var global struct{ count int }

var table = map[string]int{}

func goroutine(c chan int) {
	go stale()
	c <- 1
}

func order(m map[string]int) (keys []string) {
	keys = slices.Sorted(maps.Keys(m)) // this is how
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func iterator(m map[string]int) []string {
	return slices.Collect(maps.Keys(m))
}

func half(n int) int {
	return int(float64(n) *
		// on a line of its own
		0.5)
}

func stale() {
	local := global
	global.count++
	table["x"] = 1
	global = local
	local.count++
}

func excused(m map[string]int) (n int) {
	for range m {
		n++
	}
	return n
}
