package protocol

import (
	"fmt"
	"strings"

	"lockstep/audit"
)

// QuerySubject is where every replica is asked questions.
func QuerySubject(machine string) string { return fmt.Sprintf("lockstep.%s.query", machine) }

// QuerySubjectOf is where one replica is asked questions.
func QuerySubjectOf(machine string, r audit.ReplicaID) string {
	return fmt.Sprintf("lockstep.%s.query.%s", machine, r)
}

// EvidenceSubject is where whoever finds evidence of a replica's fault publishes it.
func EvidenceSubject(machine string) string { return fmt.Sprintf("lockstep.%s.evidence", machine) }

// IsInbox tells whether a subject is one that replicas answer to: an inbox as NATS clients name theirs, _INBOX.>, also as it
// is written where the question came from another account (_R_.>, which no client can publish to) or through a gateway
// (_GR_.CLUSTER.SERVER.>). Replicas answer nowhere else, since they may publish where who asks may not: into other machines'
// logs, for one.
func IsInbox(subject string) bool {
	if rest, routed := strings.CutPrefix(subject, "_GR_."); routed {
		parts := strings.SplitN(rest, ".", 3)
		subject = parts[len(parts)-1]
	}
	return strings.HasPrefix(subject, "_INBOX.") || strings.HasPrefix(subject, "_R_.")
}
