package breaks

import (
	"fmt"
	"testing"

	"lockstep/host/node"
	"lockstep/ordering/jetstream"
)

// The stream is deleted under load, and made again under its name.
func TestStreamRecreated(t *testing.T) {
	again := []bool{true}
	if *all {
		again = []bool{true, false} // false: it stays deleted
	}
	for _, again := range again {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			c := start(t)
			l := c.load()
			l.more(200)
			ref, conn := jetstream.Ref{Machine: machine, Epoch: 1}, c.conn(1)
			if err := jetstream.Delete(within(t, patience), conn, ref); err != nil {
				t.Fatal(err)
			}
			if again {
				if _, err := jetstream.Create(within(t, patience), conn, jetstream.Config{Ref: ref, Replicas: 3}); err != nil {
					t.Fatal(err)
				}
			}
			c.awaitEpoch(2)
			l.more(200)
			l.end()
			c.verify()
			if !c.saw(node.EventBroken) || !c.saw(node.EventEpoch) {
				t.Error("nobody says that the log broke, or that there is another one")
			}
		})
	}
}
