package jetstream

import (
	"fmt"
	"strings"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
)

// Finding is one setting under which a log can lose entries or stand still.
type Finding struct {
	Setting string // as NATS calls it
	Is      string
	Want    string
	Risk    string // what it can lose, in words
	// Fatal says that the log cannot be used: entries would be dropped or changed
	// in ordinary service. Others lose something only together with a fault.
	Fatal bool
}

func (f Finding) String() string {
	return fmt.Sprintf("%s is %s, want %s: %s", f.Setting, f.Is, f.Want, f.Risk)
}

// UnsafeError is returned by Open for a stream whose settings would lose entries in
// ordinary service.
type UnsafeError struct {
	Ref      Ref
	Findings []Finding
}

func (e *UnsafeError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return fmt.Sprintf("stream %s is not safe for a log: %s", e.Ref.StreamName(), strings.Join(lines, "; "))
}

// CheckStream judges the settings of a log's stream.
func CheckStream(ref Ref, got njs.StreamConfig) []Finding {
	want := Config{Ref: ref}.stream()
	var found []Finding
	check := func(wrong, fatal bool, setting string, is, want any, risk string) {
		if wrong {
			found = append(found, Finding{Setting: setting, Is: fmt.Sprint(is), Want: fmt.Sprint(want), Risk: risk, Fatal: fatal})
		}
	}
	check(got.Storage != njs.FileStorage, true, "storage", got.Storage, want.Storage,
		"all entries are lost when the servers restart together")
	check(got.Retention != njs.LimitsPolicy, true, "retention", got.Retention, want.Retention,
		"entries are dropped once a consumer has acknowledged them, also those that a replica has not read")
	check(got.Discard != njs.DiscardNew, true, "discard policy", got.Discard, want.Discard,
		"a full log drops its oldest entries, which a replica that is behind then never reads, instead of refusing new ones")
	check(got.MaxAge != 0, true, "max age", got.MaxAge, "none",
		"entries vanish with time, whether or not replicas have read and checkpointed them")
	check(got.MaxMsgs > 0, true, "max messages", got.MaxMsgs, "none",
		"the log is full, or drops entries, at a number of entries and not at a size")
	check(got.MaxMsgsPerSubject > 0, true, "max messages per subject", got.MaxMsgsPerSubject, "none",
		"each new entry beyond that number drops an old one")
	check(got.AllowRollup, true, "rollup", "allowed", "off", "any client can drop all entries with one header")
	check(got.AllowMsgTTL, true, "message TTL", "allowed", "off", "any client can have an entry vanish after a time")
	check(got.AllowMsgSchedules, true, "schedules", "allowed", "off", "any client can have entries appear and vanish later")
	check(got.AllowMsgCounter, true, "counter", "on", "off", "the servers rewrite what clients append")
	check(!got.DenyDelete, true, "deny delete", "off", "on", "whoever may call the API can remove single entries")
	check(got.DenyPurge, false, "deny purge", "on", "off", "the log cannot be cut behind checkpoints, and fills up")
	check(got.NoAck, true, "acknowledgements", "off", "on", "nobody learns whether an entry was ordered")
	check(got.Sealed, true, "sealed", "yes", "no", "the log takes no entries any more")
	check(got.Mirror != nil || len(got.Sources) > 0, true, "mirror or sources", "set", "none",
		"entries come from another stream, with positions and times of their own")
	check(got.SubjectTransform != nil, true, "subject transform", "set", "none", "entries are stored under another subject and not recognised")
	check(got.PersistMode == njs.AsyncPersistMode, true, "persist mode", "async", "default",
		"entries are acknowledged before they are written")
	check(!got.AllowDirect, true, "direct get", "off", "on", "replicas cannot fetch entries that they missed")
	check(!ref.hasSubjects(got.Subjects), true, "subjects", strings.Join(got.Subjects, " "), ref.InputSubject()+" "+ref.ControlSubject(),
		"inputs do not reach the log, or other messages do")
	check(got.RePublish == nil || *got.RePublish != *want.RePublish, false, "republish", republish(got.RePublish), republish(want.RePublish),
		"replicas learn of entries late, by asking")
	check(got.MaxMsgSize >= 0 && got.MaxMsgSize < ordering.MaxEntry, false, "max message size", got.MaxMsgSize, ordering.MaxEntry,
		"large inputs are refused")
	check(got.MaxBytes <= 0, false, "max bytes", "unlimited", "a bound",
		"a log that is not cut fills the disk, and then JetStream as a whole is switched off")
	check(got.Duplicates > time.Minute, false, "duplicate window", got.Duplicates, want.Duplicates,
		"a client that uses another's message id makes that one's input vanish with a good-looking acknowledgement, within this time")
	check(got.Replicas < 3, false, "replicas", got.Replicas, "3 or 5",
		"the loss of one disk loses the log, and the loss of one server stops it")
	check(got.Replicas%2 == 0, false, "replicas", got.Replicas, "an odd number",
		"an even number bears no more faults than one less, and costs one more write")
	return found
}

func republish(r *njs.RePublish) string {
	if r == nil {
		return "off"
	}
	return fmt.Sprintf("%s to %s", r.Source, r.Destination)
}

// fatal returns an *UnsafeError if there is reason for one.
func fatal(ref Ref, all []Finding) error {
	var findings []Finding
	for _, f := range all {
		if f.Fatal {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &UnsafeError{Ref: ref, Findings: findings}
}
