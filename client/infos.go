package client

import (
	"slices"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

// stated is the highest number that as many of them state, or a higher one. ok is false
// if fewer speak at all.
func stated[N ~uint64](list []host.Info, many int, number func(*host.Info) N) (n N, ok bool) {
	all := make([]N, 0, len(list))
	for i := range list {
		all = append(all, number(&list[i]))
	}
	if len(all) < many || many == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)-many], true
}

// epochOf is the epoch in whose log inputs are to be sent: one that a majority of voters
// has reached, so that no minority sends anybody astray. As long as no membership is
// known it is what most of those say who answer. ok is false if too few do.
func epochOf(list []host.Info, members audit.Members) (ordering.Epoch, bool) {
	if len(members.List) == 0 {
		return protocol.EpochOf(list), true
	}
	return stated(protocol.OfVoters(list, members), members.Majority(), func(in *host.Info) ordering.Epoch { return max(in.Log, 1) })
}

// reached is a seq that the log has reached, by the same rule.
func reached(list []host.Info, members audit.Members) ordering.Seq {
	many := members.Majority()
	if len(members.List) == 0 {
		many = len(list)/2 + 1
	} else {
		list = protocol.OfVoters(list, members)
	}
	seq, _ := stated(list, many, func(in *host.Info) ordering.Seq { return in.Seq })
	return seq
}
