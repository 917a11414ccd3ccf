package found

import (
	"fmt"
	"strings"

	"lockstep/ordering/jetstream"
)

// Subjects that a client needs: its inputs go straight to the log, its outputs
// and the answers to its questions come to subjects of its own.
var (
	clientPublish   = []string{"lockstep.*.in.*.input", "lockstep.*.info", "lockstep.*.query", "lockstep.*.query.>"}
	clientSubscribe = []string{"lockstep.*.out.*", "lockstep.*.event.>", "lockstep.*.events"}
	// An operator may read the log too.
	adminSubscribe = []string{"lockstep.*.log.*"}
	// An operator also deploys and asks nodes as nodes. While it deploys, replicas
	// fetch the module from its inbox, which it answers. It has the log's copies follow the membership.
	adminPublish = []string{"lockstep.*.in.*.control", "lockstep.*.prepare", "lockstep.*.state.>", "lockstep.$node.>", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.NAMES", "$JS.API.DIRECT.GET.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.INFO",
		"$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.PEER.*.*", "$JS.API.STREAM.LEADER.STEPDOWN.*"}
)

// text is the accounts in nats-server's language.
func (a accounts) text() string {
	var b strings.Builder
	b.WriteString("# Who may connect, by public key, and what each may say. The same on all nodes.\n\n")
	b.WriteString("authorization {\n  users = [\n")
	for _, n := range a.nodes {
		fmt.Fprintf(&b, "    # a node: all but speaking for the log\n    { nkey: %s, permissions: { publish: { allow: [\">\"], deny: [\"lockstep.*.log.*\"] }, subscribe: \">\", allow_responses: true } }\n", n)
	}
	fmt.Fprintf(&b, "    # operators\n    { nkey: %s, permissions: { publish: %s, subscribe: %s, allow_responses: { max: -1, expires: \"5m\" } } }\n",
		a.admin, quoted(clientPublish, adminPublish), quoted(inboxes(a.admin), clientSubscribe, adminSubscribe))
	fmt.Fprintf(&b, "    # clients; each key has inboxes of its own\n    { nkey: %s, permissions: { publish: %s, subscribe: %s } }\n", a.client, quoted(clientPublish), quoted(inboxes(a.client), clientSubscribe))
	b.WriteString("  ]\n}\n\n")
	fmt.Fprintf(&b, "accounts { SYS: { users: [ { nkey: %s } ] } }\nsystem_account: SYS\n\n", a.system)
	fmt.Fprintf(&b, "# Between the servers of the nodes.\ncluster { authorization { user: lockstep, password: \"%s\", timeout: 3 } }\n", a.route)
	return b.String()
}

// inboxes are where replies to a user come, and no other user's.
func inboxes(public string) []string { return []string{jetstream.InboxPrefix(public) + ".>"} }

func quoted(lists ...[]string) string {
	var all []string
	for _, list := range lists {
		for _, s := range list {
			all = append(all, fmt.Sprintf("%q", s))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}
