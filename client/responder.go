package client

import (
	"time"

	"lockstep/audit"
)

// responders chooses who sends bytes: the voters in turn, without those that
// were silent or wrong a moment ago, unless all were.
type responders struct {
	turn  int
	avoid map[audit.ReplicaID]time.Time // until when
}

// avoidFor is how long a voter is passed over.
const avoidFor = 3 * time.Second

// pick returns the next voter, or "" if there is none.
func (r *responders) pick(members audit.Members, now time.Time) audit.ReplicaID {
	var voters, good []audit.ReplicaID
	for i := range members.List {
		if m := &members.List[i]; m.Voter {
			voters = append(voters, m.ID)
			if !now.Before(r.avoid[m.ID]) {
				good = append(good, m.ID)
			}
		}
	}
	if len(good) == 0 {
		good = voters
	}
	if len(good) == 0 {
		return ""
	}
	r.turn++
	return good[r.turn%len(good)]
}

// number is the next voter's place among the voters, as host.Session.Responder
// has it.
func (r *responders) number(members audit.Members, now time.Time) uint64 {
	id := r.pick(members, now)
	n := uint64(0)
	for i := range members.List {
		if members.List[i].ID == id {
			break
		}
		if members.List[i].Voter {
			n++
		}
	}
	return n
}

// blame passes a voter over for a while.
func (r *responders) blame(id audit.ReplicaID, now time.Time) {
	if r.avoid == nil || len(r.avoid) > maxViews {
		r.avoid = make(map[audit.ReplicaID]time.Time)
	}
	r.avoid[id] = now.Add(avoidFor)
}
