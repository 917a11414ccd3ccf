package membership

import (
	"strings"
	"testing"
	"time"

	"lockstep/ordering"
)

// A replica has caught up when it is where most voters were a moment ago, though they never stand still; not when it is
// further behind, and not by one look alone, which compares answers that were given at different times.
func TestPursuit(t *testing.T) {
	for _, c := range []struct {
		name     string
		rate     ordering.Seq // entries that the voters apply between two looks, 250 ms
		lag      ordering.Seq // of the replica at first
		gains    ordering.Seq // on the voters, each look
		looks    int
		caughtUp bool
		says     string
	}{
		{"idle", 0, 0, 0, 2, true, ""},
		{"idle, one entry behind", 0, 1, 0, 4, false, "it is at seq 999999, the others at 1000000"},
		{"one look", 0, 0, 0, 1, false, "it is at seq 1000000, the others at 1000000"},
		{"under load, half a second behind for ever", 250, 500, 0, 4, true, ""},
		{"under load, three seconds behind for ever", 250, 3000, 0, 60, false, "does not come closer"},
		{"under load, and coming closer", 250, 60_000, 1000, 60, true, ""},
		{"coming closer, not there yet", 250, 60_000, 1000, 30, false, "it follows at 5000 entries/s, and they go on at 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pursuit
			now, voters, lag := time.Unix(1, 0), ordering.Seq(1_000_000), c.lag
			got := false
			for range c.looks {
				got = got || p.see(look{now, voters, voters - lag})
				now, voters, lag = now.Add(250*time.Millisecond), voters+c.rate, lag-min(lag, c.gains)
			}
			if got != c.caughtUp || !strings.Contains(p.String(), c.says) {
				t.Errorf("caught up: %v, want %v; it says %q, want %q", got, c.caughtUp, p.String(), c.says)
			}
		})
	}
}

// Where nobody says where the voters are, nobody has caught up with them.
func TestPursuitOfNobody(t *testing.T) {
	var p pursuit
	for i := range 4 {
		if p.see(look{time.Unix(int64(i), 0), 0, 0}) {
			t.Errorf("look %d: caught up with nobody", i)
		}
	}
}
