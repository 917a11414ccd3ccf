package membership

import (
	"fmt"
	"time"

	"lockstep/ordering"
)

// pursuit is a replica that follows the voters, as looks at both show it. Under load the voters never stand still, so
// what counts is how long ago they were where the replica is: the rounds of section 4.2.1 of Ongaro's dissertation on
// Raft.
type pursuit struct {
	looks []look // oldest first, not older than judged
}

// look is where the voters and the replica were at a time.
type look struct {
	at     time.Time
	voters ordering.Seq
	own    ordering.Seq
}

const (
	// closeBy is how far behind a replica may be that is made a voter. Where its vote is needed at once, as in place of one
	// that is gone, calls wait for so long, which is about what an election takes.
	closeBy = 2 * time.Second
	// judged is the time over which the speeds of both are compared.
	judged = 10 * time.Second
)

// see adds a look, and reports whether the replica has what the voters had at an earlier one, closeBy ago at most.
func (p *pursuit) see(now look) bool {
	p.looks = append(p.looks, now)
	for now.at.Sub(p.looks[0].at) > judged {
		p.looks = p.looks[1:]
	}
	for _, l := range p.looks[:len(p.looks)-1] {
		if now.at.Sub(l.at) <= closeBy && l.voters > 0 && now.own >= l.voters {
			return true
		}
	}
	return false
}

// String says where both are and, if they have been seen for a while, whether the one comes closer.
func (p *pursuit) String() string {
	if len(p.looks) == 0 {
		return "it was not seen"
	}
	first, last := p.looks[0], p.looks[len(p.looks)-1]
	s := fmt.Sprintf("it is at seq %d, the others at %d", last.own, last.voters)
	passed := last.at.Sub(first.at).Seconds()
	if passed < closeBy.Seconds() || last.own < first.own || last.voters < first.voters {
		return s
	}
	own, voters := float64(last.own-first.own)/passed, float64(last.voters-first.voters)/passed
	s += fmt.Sprintf("; it follows at %.0f entries/s, and they go on at %.0f", own, voters)
	if own <= voters {
		s += ": it does not come closer; send fewer inputs until it votes, or give its node a faster processor or disk"
	}
	return s
}
