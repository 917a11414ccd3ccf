package host

import (
	"fmt"

	"lockstep/audit"
)

// The NATS subjects of a machine besides its log's. A tenant's permissions
// are written in terms of these: a client publishes to the log's input subject
// and to QuerySubject and InfoSubject, and reads its own OutputSubject; only
// replicas publish outputs and audit records.

// OutputSubject is where replicas send the outputs of a client's inputs.
func OutputSubject(machine string, c ClientID) string {
	return fmt.Sprintf("lockstep.%s.out.%s", machine, c)
}

// InfoSubject is where every replica answers with its Info.
func InfoSubject(machine string) string { return fmt.Sprintf("lockstep.%s.info", machine) }

// AuditSubject is where replicas publish audit records.
func AuditSubject(machine string) string { return fmt.Sprintf("lockstep.%s.audit", machine) }

// StateSubject is where one replica serves its checkpoints to others.
func StateSubject(machine string, r audit.ReplicaID) string {
	return fmt.Sprintf("lockstep.%s.state.%s", machine, r)
}

// PrepareSubject is where every replica is asked to fetch and compile a
// module, and answers with a holding or a refusal.
func PrepareSubject(machine string) string { return fmt.Sprintf("lockstep.%s.prepare", machine) }
