package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
)

// Keys of the stream's metadata.
const (
	metaFormat  = "lockstep.format"
	metaMachine = "lockstep.machine"
	metaEpoch   = "lockstep.epoch"
	metaID      = "lockstep.id" // random: tells a stream from one created anew under its name

	formatVersion = "1"
)

// DefaultMaxBytes bounds a log whose Config does not.
const DefaultMaxBytes = 1 << 30

// Config is what a log is created with.
type Config struct {
	Ref
	Replicas int          // servers that keep the stream: 1, 3 or 5; 0 means 1
	MaxBytes int64        // a full log refuses entries; 0 means DefaultMaxBytes
	FirstSeq ordering.Seq // position of the first entry; 0 means 1
	// Least, if not 0, has Found keep the log on fewer servers than Replicas where there are not as many, but on
	// no fewer than so many: after a loss of most of them.
	Least int
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.Ref.Validate(); err != nil {
		return err
	}
	switch c.Replicas {
	case 0, 1, 3, 5:
	default:
		return fmt.Errorf("log %s: %d replicas, want 1, 3 or 5", c.Ref, c.Replicas)
	}
	if c.MaxBytes < 0 {
		return fmt.Errorf("log %s: max bytes is %d", c.Ref, c.MaxBytes)
	}
	return nil
}

// Create makes the log's stream and returns its identity, which is new for each
// stream ever created. A stream that is there with the same settings is left as it
// is, and several nodes may create the same log at once; one with other settings
// is an error that says which.
//
// A cluster that has just been started may not know all its servers yet: Create goes on
// trying for some seconds.
//
// Create is for founding a log. A log that was there and is not found is not to be
// made again: that would be a new log under its name.
func Create(ctx context.Context, nc *nats.Conn, cfg Config) (id string, err error) {
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	js, err := njs.New(nc)
	if err != nil {
		return "", fmt.Errorf("create log %s: %w", cfg.Ref, err)
	}
	want := cfg.stream()
	want.Metadata[metaID] = rand.Text()
	s, err := createStream(ctx, js, want, createWait)
	if errors.Is(err, njs.ErrStreamNameAlreadyInUse) {
		s, err = existingStream(ctx, js, cfg.StreamName())
	}
	if noRoom(err) {
		return "", fmt.Errorf("create log %s: %w: it reserves %d bytes on each of %d servers, whether or not it will use them, "+
			"and they have less that no other log has reserved: give it fewer bytes, give the servers more room (max_file_store), or delete a log: %w",
			cfg.Ref, ErrNoRoom, want.MaxBytes, want.Replicas, err)
	}
	if err != nil {
		return "", fmt.Errorf("create log %s: %w", cfg.Ref, err)
	}
	got := s.CachedInfo().Config
	if diff := settingsDiff(got, want); diff != "" {
		return "", fmt.Errorf("create log %s: stream %s exists with other settings: %s", cfg.Ref, want.Name, diff)
	}
	return got.Metadata[metaID], nil
}

// ErrNoRoom says that the servers cannot reserve what the log may come to need.
var ErrNoRoom = errors.New("servers have no room for another log")

// noRoom recognises it among JetStream's errors.
func noRoom(err error) bool {
	var e *njs.APIError
	if !errors.As(err, &e) {
		return false
	}
	return e.ErrorCode == codeStorage || e.ErrorCode == codeAccountResources ||
		e.ErrorCode == codeNoPeers && strings.Contains(e.Description, "insufficient storage")
}

// How long Create goes on trying, how long it waits for the first answer, twice as long for
// each that follows, and between two tries.
const (
	createWait    = 15 * time.Second
	createAnswer  = 300 * time.Millisecond
	createBetween = 50 * time.Millisecond
	// Servers that have just met do not know of each other's room at once.
	noRoomWait = 2 * time.Second
)

// createStream repeats what may pass: too few servers are known as yet, they are electing, or the files of a
// stream that was just deleted are still being removed. Creating the same stream
// twice is creating it once.
func createStream(ctx context.Context, js njs.JetStream, want njs.StreamConfig, patience time.Duration) (njs.Stream, error) {
	s, err := repeat(ctx, patience, func(ctx context.Context) (njs.Stream, error) { return js.CreateStream(ctx, want) },
		codeNoPeers, codeStoreBusy, codeNoLeader)
	if err != nil {
		return nil, err
	}
	return s, awaitKnown(ctx, js, want.Subjects[0])
}

// awaitKnown waits until the servers' leader knows a stream that was made, by a subject of it: the stream's own leader has answered
// that, which may be before, and who looks for it meanwhile might be told that there is none.
func awaitKnown(ctx context.Context, js njs.JetStream, subject string) error {
	_, err := repeat(ctx, createWait, func(ctx context.Context) (struct{}, error) {
		_, err := js.StreamNameBySubject(ctx, subject)
		return struct{}{}, err
	}, codeStreamNotFound, codeNoLeader)
	return err
}

// existingStream finds a stream that is there, or that another node is making
// at this moment: between its name being taken and its leader answering, the
// stream is not found.
func existingStream(ctx context.Context, js njs.JetStream, name string) (njs.Stream, error) {
	return repeat(ctx, createWait, func(ctx context.Context) (njs.Stream, error) { return js.Stream(ctx, name) },
		codeStreamNotFound, codeNoLeader)
}

// repeat asks until there is an answer that is not one of the errors that pass. There may
// be no answer at all, as from a stream whose leader is being elected, so each try
// has a time of its own.
func repeat[T any](ctx context.Context, patience time.Duration, ask func(context.Context) (T, error), pass ...njs.ErrorCode) (T, error) {
	began := time.Now()
	deadline := began.Add(patience)
	answer := createAnswer
	for {
		try, cancel := context.WithTimeout(ctx, answer)
		s, err := ask(try)
		passes := try.Err() != nil
		cancel()
		if passes {
			answer = min(2*answer, createWait)
		}
		if apiErr := new(njs.APIError); errors.As(err, &apiErr) {
			passes = slices.Contains(pass, apiErr.ErrorCode)
		}
		if noRoom(err) && time.Since(began) > noRoomWait {
			passes = false
		}
		if err == nil || !passes || time.Now().After(deadline) {
			return s, err
		}
		select {
		case <-time.After(createBetween):
		case <-ctx.Done():
			var none T
			return none, err
		}
	}
}

// Delete removes a log with all its entries. It is for epochs that are over.
func Delete(ctx context.Context, nc *nats.Conn, ref Ref) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	js, err := njs.New(nc)
	if err != nil {
		return fmt.Errorf("delete log %s: %w", ref, err)
	}
	err = js.DeleteStream(ctx, ref.StreamName())
	if errors.Is(err, njs.ErrStreamNotFound) {
		return fmt.Errorf("delete log %s: %w", ref, ordering.ErrNotFound)
	}
	if err == nil {
		err = awaitGone(ctx, js, ref.StreamName())
	}
	if err != nil {
		return fmt.Errorf("delete log %s: %w", ref, err)
	}
	return nil
}

// awaitGone waits until the servers' leader knows that a stream was deleted: its own leader has
// answered that, which may be before. Create would find the old one.
func awaitGone(ctx context.Context, js njs.JetStream, name string) error {
	ctx, cancel := context.WithTimeout(ctx, createWait)
	defer cancel()
	var created time.Time
	for {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		s, err := js.Stream(try, name)
		cancel()
		if errors.Is(err, njs.ErrStreamNotFound) {
			return nil
		}
		if err == nil {
			at := s.CachedInfo().Created
			if created.IsZero() {
				created = at
			}
			if at.After(created) {
				return nil // somebody has made it anew
			}
		}
		select {
		case <-time.After(createBetween):
		case <-ctx.Done():
			return fmt.Errorf("wait until stream %s is gone: %w", name, context.Cause(ctx))
		}
	}
}

// stream is the JetStream configuration. Each setting that is written out although
// it is JetStream's default is one that would lose or reorder entries otherwise.
func (c Config) stream() njs.StreamConfig {
	replicas, maxBytes, first := c.Replicas, c.MaxBytes, uint64(c.FirstSeq)
	if replicas == 0 {
		replicas = 1
	}
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	if first <= 1 {
		first = 0 // JetStream's word for the same
	}
	return njs.StreamConfig{
		Name:        c.StreamName(),
		Description: "Lockstep: the inputs of one machine, in order",
		Subjects:    []string{c.InputSubject(), c.ControlSubject()},
		Storage:     njs.FileStorage,
		Replicas:    replicas,
		FirstSeq:    first,

		// A full log refuses new entries, it never drops old ones.
		Retention: njs.LimitsPolicy,
		Discard:   njs.DiscardNew,
		MaxBytes:  maxBytes,
		MaxMsgs:   -1,
		MaxAge:    0,

		MaxMsgsPerSubject: -1,
		MaxMsgSize:        ordering.MaxEntry,
		MaxConsumers:      -1,

		// Nothing but Truncate removes an entry.
		DenyDelete:        true,
		DenyPurge:         false,
		AllowRollup:       false,
		AllowMsgTTL:       false,
		AllowMsgSchedules: false,
		AllowMsgCounter:   false,
		// Message ids are the sender's claim and could hide another's entry.
		// 100 ms is the shortest window that JetStream knows.
		Duplicates: 100 * time.Millisecond,

		AllowDirect: true,
		RePublish:   &njs.RePublish{Source: c.entries("*"), Destination: c.RepublishSubject()},

		Metadata: map[string]string{
			metaFormat:  formatVersion,
			metaMachine: string(c.Machine),
			metaEpoch:   c.epoch(),
		},
	}
}

// settingsDiff names the settings of a stream that matter to the log and are
// not as wanted. Replicas may differ: servers come and go.
func settingsDiff(got, want njs.StreamConfig) string {
	var diff []string
	add := func(name string, got, want any) {
		if got != want {
			diff = append(diff, fmt.Sprintf("%s is %v, want %v", name, got, want))
		}
	}
	add("subjects", strings.Join(got.Subjects, " "), strings.Join(want.Subjects, " "))
	add("storage", got.Storage, want.Storage)
	add("first sequence", max(got.FirstSeq, 1), max(want.FirstSeq, 1))
	add("retention", got.Retention, want.Retention)
	add("discard", got.Discard, want.Discard)
	add("max bytes", got.MaxBytes, want.MaxBytes)
	add("max messages", got.MaxMsgs, want.MaxMsgs)
	add("max messages per subject", got.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	add("max age", got.MaxAge, want.MaxAge)
	add("max message size", got.MaxMsgSize, want.MaxMsgSize)
	add("deny delete", got.DenyDelete, want.DenyDelete)
	add("deny purge", got.DenyPurge, want.DenyPurge)
	add("rollup", got.AllowRollup, want.AllowRollup)
	add("message TTL", got.AllowMsgTTL, want.AllowMsgTTL)
	add("schedules", got.AllowMsgSchedules, want.AllowMsgSchedules)
	add("counter", got.AllowMsgCounter, want.AllowMsgCounter)
	add("no ack", got.NoAck, want.NoAck)
	add("direct get", got.AllowDirect, want.AllowDirect)
	add("mirror", got.Mirror != nil, false)
	add("sources", len(got.Sources), 0)
	add("subject transform", got.SubjectTransform != nil, false)
	if got.RePublish == nil {
		add("republish", "off", "on")
	} else {
		add("republish", *got.RePublish, *want.RePublish)
	}
	for _, key := range []string{metaFormat, metaMachine, metaEpoch} {
		add(key, got.Metadata[key], want.Metadata[key])
	}
	return strings.Join(diff, ", ")
}
