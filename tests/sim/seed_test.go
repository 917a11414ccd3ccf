package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Environment of a run: one seed again, or how many are tried.
const (
	envSeed  = "LOCKSTEP_SIM_SEED"
	envSeeds = "LOCKSTEP_SIM_SEEDS"
)

// seeds runs a test for each seed, few unless more are asked for.
func seeds(t *testing.T, few int, run func(t *testing.T, seed uint64)) {
	t.Helper()
	first, n := uint64(1), few
	if one, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64); err == nil {
		first, n = one, 1
	} else if many, err := strconv.Atoi(os.Getenv(envSeeds)); err == nil {
		n = many
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					name, _, _ := cutLast(t.Name())
					t.Logf("to run it again:\n\t%s=%d go test ./tests/sim -run '^%s$' -count=1 -v", envSeed, seed, name)
				}
			})
			run(t, seed)
		})
	}
}

// cutLast cuts a test's name before its last part, the seed.
func cutLast(name string) (before, after string, found bool) {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}
