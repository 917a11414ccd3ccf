package membership

import (
	"slices"
)

// copies are the log's, as the servers have them.
type copies struct {
	replicas int      // as many as there should be
	keepers  []string // servers that keep one, the leader first
	behind   []string // those of them that have not caught up
}

// settled reports whether there are as many copies as there should be, and all have caught up but those
// on servers that do not run: these may be gone for ever.
func (c copies) settled(servers []string) bool {
	waits := slices.ContainsFunc(c.behind, func(s string) bool { return slices.Contains(servers, s) })
	return !waits && (len(c.keepers) == c.replicas || len(c.keepers) == 0)
}

// action is one step towards the copies that a membership needs. The zero action is none.
type action struct {
	replicas int    // set the number of copies
	remove   string // move the copy on this server to another
	gone     bool   // it does not run: there is nothing to move, only to make anew
}

// most is the largest number of copies that JetStream keeps.
const most = 5

// wanted is the number of copies: the largest odd number that is above neither the voters nor their servers, nor
// 5.
func wanted(voters, servers int) int {
	n := min(voters, servers, most)
	if n%2 == 0 {
		n--
	}
	return max(n, 1)
}

// plan is the next action. voters are servers of nodes that vote, and running are all servers that answer. What voters
// keep stays where it is, if they run or not; what the leaver keeps goes elsewhere, and so does what is lost with
// another that is gone. Copies on other servers that run are as good as on voters'.
func plan(voters []string, have copies, running []string, leaver string) action {
	is := func(list []string) func(string) bool {
		return func(s string) bool { return slices.Contains(list, s) }
	}
	not := func(f func(string) bool) func(string) bool { return func(s string) bool { return !f(s) } }
	able := slices.DeleteFunc(slices.Clone(voters), func(v string) bool { return !is(running)(v) && !is(have.keepers)(v) })
	want := wanted(len(voters), len(able))
	free := slices.ContainsFunc(running, func(s string) bool { return s != leaver && !is(have.keepers)(s) })
	others := slices.DeleteFunc(slices.Clone(have.keepers), is(voters))
	gone := slices.IndexFunc(others, not(is(running)))
	switch {
	case gone >= 0 && free && len(have.keepers) > 1:
		return action{remove: others[gone], gone: true} // first: a copy that is lost may keep others from being made
	case have.replicas != want:
		return action{replicas: want}
	case free && is(others)(leaver) && is(running)(leaver):
		return action{remove: leaver}
	}
	return action{}
}
