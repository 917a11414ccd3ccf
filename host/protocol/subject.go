package protocol

import (
	"fmt"

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
