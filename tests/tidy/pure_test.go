package tidy

import (
	"fmt"
	"slices"
	"testing"
)

// pure lists the packages whose results depend on receiver and arguments alone,
// each with the imports that it is excused for.
var pure = map[string]map[string]string{
	"wasmabi":            nil,
	"wasmabi/instrument": nil,
	"ordering": {
		"context": "the Log seam's methods wait; who implements it is an adapter",
		"time":    "an entry's ordered time as a time.Time, which reads no clock",
	},
	"audit":           nil,
	"audit/canonical": nil,
	"snapshot": {
		"golang.org/x/sys/cpu": "whether the processor hashes four pages side by side, which changes no digest",
	},
	"host":          nil,
	"host/epochs":   nil,
	"host/protocol": nil,
}

// world is what a pure package does without, and what is below each.
var world = []string{
	"context", "crypto/rand", "golang.org/x/sys", "hash/maphash", "io/fs", "io/ioutil", "log", "math/rand", "net", "os",
	"plugin", "runtime", "sync", "syscall", "testing", "time", "unique", "weak",
}

func worldly(list []pkg) (complaints []string) {
	for _, p := range list {
		excused, is := pure[p.folder()]
		if !is {
			continue
		}
		for _, imported := range p.Imports {
			if excused[imported] == "" && slices.ContainsFunc(world, func(w string) bool { return within(imported, w) }) {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: a pure package has no clock, randomness, file, network, environment or goroutine; all that varies arrives in the entry", p.ImportPath, imported))
			}
		}
	}
	return complaints
}

func TestPurePackagesAreCutOff(t *testing.T) {
	all := ours(t)
	silent(t, worldly(all))
	for folder := range pure {
		if !slices.ContainsFunc(all, func(p pkg) bool { return p.folder() == folder }) {
			t.Errorf("%s is listed as pure and is not there", folder)
		}
	}
	complains(t, worldly([]pkg{
		{ImportPath: "lockstep/host", Imports: []string{"bytes", "time", "sync/atomic"}},
		{ImportPath: "lockstep/ordering", Imports: []string{"context", "time", "math/rand/v2"}},
		{ImportPath: "lockstep/host/node", Imports: []string{"time", "os"}},
		{ImportPath: "lockstep/snapshot", Imports: []string{"osmosis"}},
	}),
		"host imports time", "host imports sync/atomic", "ordering imports math/rand/v2",
	)
}
