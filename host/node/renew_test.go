package node

import (
	"testing"

	"lockstep/ordering"
	"lockstep/ordering/journal"
)

// A new log gets no more of the epochs before than the bounds allow, by number and by bytes.
func TestSeedsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name       string
		n, size    int
		from, want ordering.Seq
	}{
		{"few", 10, 100, 1, 1},
		{"few, and others lack the last alone", 10, 100, 10, 10},
		{"many", maxSeeds + 10, 1, 1, 11},
		{"large", 100, 1 << 19, 1, 100 - maxSeedBytes>>19 + 1},
		{"others lack nothing", 10, 100, 11, 11},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Replica{room: make(chan struct{}, 1)}
			j, err := journal.Open(t.TempDir(), journal.Options{OnSync: func(ordering.Position, error) {
				select {
				case r.room <- struct{}{}:
				default:
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			r.journal = j
			at := ordering.Position{}
			for range c.n {
				e := ordering.Entry{Epoch: 1, Seq: at.Seq + 1, Data: make([]byte, c.size)}
				at = at.Next(e)
				for j.Full() {
					<-r.room
				}
				if err := j.Append(e, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.durable(t.Context(), at.Seq); err != nil {
				t.Fatal(err)
			}
			if got, err := r.seedsFrom(c.from, at.Seq); err != nil || got != c.want {
				t.Errorf("from %d, %v, want %d", got, err, c.want)
			}
		})
	}
}
