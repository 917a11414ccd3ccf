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
		start := func(name string, digest byte, size int) (done func()) {
			end := make(chan struct{})
			go func() {
				finish := turns.take(turnKey{module: audit.Digest{digest}}, size)
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
		endLarge := start("large", 1, smallModule+1)
		endNext := start("next large", 2, smallModule+1)
		endSmall := start("small", 3, 100)
		endTwice := start("small again", 3, 100)
		endOther := start("other", 4, 100)
		endThird := start("third", 5, 100)
		want("large", "small", "other")
		endSmall()
		want("large", "small", "other", "third")
		endOther()
		want("large", "small", "other", "third", "small again")
		endLarge()
		want("large", "small", "other", "third", "small again", "next large")
		endNext()
		endTwice()
		endThird()
	})
}
