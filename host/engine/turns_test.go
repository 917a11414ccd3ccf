package engine

import (
	"testing"
	"testing/synctest"

	"lockstep/audit"
)

// A large module that takes its time holds up no small one, and no module is compiled twice at once.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var compiling []string
		start := func(name string, digest byte, size, atOnce, workers int) (done func()) {
			end := make(chan struct{})
			go func() {
				got, finish := turns.take(turnKey{module: audit.Digest{digest}}, size, atOnce)
				if got != workers {
					t.Errorf("%s is compiled by %d workers, want %d", name, got, workers)
				}
				compiling = append(compiling, name)
				<-end
				finish()
			}()
			synctest.Wait()
			return func() { close(end); synctest.Wait() }
		}
		want := func(names ...string) {
			t.Helper()
			if len(compiling) != len(names) {
				t.Fatalf("compiled were %v, want %v", compiling, names)
			}
			for i, name := range names {
				if compiling[i] != name {
					t.Fatalf("compiled were %v, want %v", compiling, names)
				}
			}
		}
		endLarge := start("large", 1, smallModule+1, 40, 40)
		endNext := start("large for its functions", 2, 100, 3, 3)
		endSmall := start("small", 3, smallModule, 40, 10)
		endTwice := start("small again", 3, smallModule, 40, 10)
		endOther := start("other", 4, smallModule, 40, 10)
		endThird := start("third", 5, 100, 4, 1)
		want("large", "small", "other")
		endSmall()
		want("large", "small", "other", "third")
		endOther()
		want("large", "small", "other", "third", "small again")
		endLarge()
		want("large", "small", "other", "third", "small again", "large for its functions")
		endNext()
		endTwice()
		endThird()
	})
}
