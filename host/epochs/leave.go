package epochs

import (
	"slices"

	"lockstep/audit"
	"lockstep/ordering"
)

// Warrant is how many voters have to say that an epoch is over before another one takes it from them: so
// many that one of them at least is not at fault. Where replicas are taken to stop and not to err (mode crash), one
// is enough.
func Warrant(panel audit.Members) int {
	if panel.Mode == audit.Crash {
		return 1
	}
	return panel.Voters() - panel.Majority() + 1
}

// Parting is how the voters stand to an epoch, as one replica sees it.
type Parting struct {
	Epoch ordering.Epoch
	// Wants has, for each other voter that does not follow the log of the epoch, the epoch for which it has
	// stopped; Epoch itself for one that only complains.
	Wants []ordering.Epoch
	// Doubting says that this replica, a voter, complains too: it cannot follow the log itself.
	Doubting bool
	// Lonely says that of this replica and those who follow the log as it does no majority could be made for a
	// while. Nothing is accepted then, whether or not it stops.
	Lonely bool
}

// Leave tells whether a replica has to stop in its epoch, for good, and for which epoch: not because one voter says so,
// which may be at fault, nor because it cannot follow the log itself, which may be its own trouble.
func (p Parting) Leave(panel audit.Members) (next ordering.Epoch, leave bool) {
	wants := slices.Clone(p.Wants)
	slices.SortFunc(wants, func(a, b ordering.Epoch) int { return order(uint64(b), uint64(a)) })
	need := Warrant(panel)
	if p.Doubting {
		need--
	}
	switch {
	case len(wants) >= need && (need > 0 || p.Doubting):
		next = p.Epoch + 1
		if n := max(need, 1); len(wants) >= n {
			next = max(next, wants[n-1])
		}
		return next, true
	case p.Doubting && p.Lonely && len(wants) > 0 && wants[0] > p.Epoch:
		return wants[0], true
	}
	return 0, false
}
