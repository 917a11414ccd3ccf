package jetstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
)

// seedPrefix begins lockstep.<machine>.seed.<epoch>.<token>, where replicas put entries of epochs before into
// the log of this one, and the proof that opens it. Only replicas may be permitted to publish there. The token is drawn by who makes the
// log, and is in its settings: whoever does not read those cannot have a server's acknowledgement sent there either.
func (r Ref) seedPrefix() string {
	return "lockstep." + string(r.Machine) + ".seed." + r.epoch() + "."
}

func (r Ref) newSeedSubject() string {
	var token [16]byte
	_, _ = rand.Read(token[:]) // never fails
	return r.seedPrefix() + hex.EncodeToString(token[:])
}

func (r Ref) isSeed(subject string) bool {
	token, ok := strings.CutPrefix(subject, r.seedPrefix())
	return ok && token != "" && !strings.ContainsAny(token, ".*>")
}

// A seed is an entry with the epoch and the time that it was first ordered with.
//
//	magic "LSY1", epoch and time as 8 bytes, big endian, data
//
// An entry of the log's own epoch has time 0 there: its time is the message's.
const (
	seedMagic = "LSY1"
	seedHead  = 4 + 8 + 8
)

func encodeSeed(e ordering.Entry) []byte {
	b := append(make([]byte, 0, seedHead+len(e.Data)), seedMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time))
	return append(b, e.Data...)
}

// unseed turns what was published to the seed subject into the entry that it carries. What is no
// seed stays an entry as it is; the machine refuses it as an opening.
func (r Ref) unseed(e ordering.Entry) ordering.Entry {
	if len(e.Data) < seedHead || string(e.Data[:4]) != seedMagic {
		return e
	}
	epoch := ordering.Epoch(binary.BigEndian.Uint64(e.Data[4:]))
	at := ordering.Time(binary.BigEndian.Uint64(e.Data[12:]))
	if epoch > r.Epoch || epoch == 0 {
		return e
	}
	if epoch < r.Epoch {
		e.Epoch, e.Time = epoch, at
	}
	e.Data = e.Data[seedHead:]
	return e
}

// founding is an ordering.Founding.
type founding struct {
	nc   *nats.Conn
	js   njs.JetStream
	cfg  Config
	subj string // that seeds go to
}

// Found makes the log of an epoch that is not the first, at cfg.FirstSeq, or finds the
// one that another replica has made or is making. Unless settings are given it is kept like the log of the
// epoch before, if that is still there. See ordering.Founding.
func Found(ctx context.Context, nc *nats.Conn, cfg Config) (ordering.Founding, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Epoch < 2 {
		return nil, fmt.Errorf("found log %s: the first epoch is made by Create", cfg.Ref)
	}
	js, err := njs.New(nc)
	if err != nil {
		return nil, fmt.Errorf("found log %s: %w", cfg.Ref, err)
	}
	f := &founding{nc: nc, js: js, cfg: cfg, subj: cfg.newSeedSubject()}
	if err := f.make(ctx); err != nil {
		return nil, fmt.Errorf("found log %s: %w", cfg.Ref, err)
	}
	return f, nil
}

func (f *founding) make(ctx context.Context) error {
	if s, err := f.stored(ctx, f.cfg.Ref); err == nil {
		return f.find(s)
	} else if !errors.Is(err, njs.ErrStreamNotFound) {
		return err
	}
	old, err := before(ctx, f.js, f.cfg.Ref)
	if err != nil {
		return err
	}
	f.inherit(ctx, old)
	want, err := f.place(ctx, f.stream())
	if noRoom(err) && len(old) > 0 {
		// What the log of the epoch before has reserved is room. Its entries are in
		// the replicas' journals, and nobody votes for it any more.
		if Delete(ctx, f.nc, old[0]) == nil {
			_, err = f.place(ctx, want)
		}
	}
	if errors.Is(err, njs.ErrStreamNameAlreadyInUse) {
		s, err := existingStream(ctx, f.js, f.cfg.StreamName())
		if err != nil {
			return err
		}
		return f.find(s)
	}
	return err
}

// find has seeds go to a stream that another has made, whatever its settings are else: what is in it proves itself, or does not.
func (f *founding) find(s njs.Stream) error {
	i := slices.IndexFunc(s.CachedInfo().Config.Subjects, f.cfg.isSeed)
	if i < 0 {
		return fmt.Errorf("it takes no seeds: its subjects are %v", s.CachedInfo().Config.Subjects)
	}
	f.subj = s.CachedInfo().Config.Subjects[i]
	return nil
}

// stored finds a log's stream, if there is one. Servers that elect may not answer at all, and are asked again.
func (f *founding) stored(ctx context.Context, ref Ref) (njs.Stream, error) {
	return repeat(ctx, createWait, func(ctx context.Context) (njs.Stream, error) { return f.js.Stream(ctx, ref.StreamName()) }, codeNoLeader)
}

// place makes the stream, on fewer servers than it is to have if there are too few and that is allowed.
func (f *founding) place(ctx context.Context, want njs.StreamConfig) (njs.StreamConfig, error) {
	for ; f.cfg.Least > 0 && want.Replicas > f.cfg.Least; want.Replicas -= 2 {
		_, err := createStream(ctx, f.js, want, placeWait)
		var e *njs.APIError
		if !errors.As(err, &e) || e.ErrorCode != codeNoPeers || noRoom(err) {
			return want, err
		}
	}
	_, err := createStream(ctx, f.js, want, createWait)
	return want, err
}

// placeWait is how long enough servers are waited for where fewer will do.
const placeWait = 3 * time.Second

// inherit takes over the settings of the newest log of epochs before that are not given.
func (f *founding) inherit(ctx context.Context, old []Ref) {
	for _, ref := range old {
		s, err := f.stored(ctx, ref)
		if err != nil {
			continue
		}
		old := s.CachedInfo().Config
		if f.cfg.Replicas == 0 && slices.Contains([]int{1, 3, 5}, old.Replicas) {
			f.cfg.Replicas = old.Replicas
		}
		if f.cfg.MaxBytes == 0 {
			f.cfg.MaxBytes = max(old.MaxBytes, 0)
		}
		return
	}
}

// before are the machine's logs of epochs before one that are there, newest first. Epochs may have been skipped.
func before(ctx context.Context, js njs.JetStream, ref Ref) ([]Ref, error) {
	refs, err := repeat(ctx, createWait, func(ctx context.Context) (refs []Ref, err error) {
		list := js.StreamNames(ctx, njs.WithStreamListSubject("lockstep."+string(ref.Machine)+".>"))
		for name := range list.Name() {
			epoch, err := strconv.ParseUint(strings.TrimPrefix(name, Ref{Machine: ref.Machine}.prefix()), 10, 64)
			if at := (Ref{ref.Machine, ordering.Epoch(epoch)}); err == nil && at.StreamName() == name && at.Epoch < ref.Epoch {
				refs = append(refs, at)
			}
		}
		return refs, list.Err()
	}, codeNoLeader)
	if err != nil {
		return nil, fmt.Errorf("list logs of machine %s: %w", ref.Machine, err)
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(b.Epoch, a.Epoch) })
	return refs, nil
}

// stream is the configuration while nobody but replicas may append.
func (f *founding) stream() njs.StreamConfig {
	c := f.cfg.stream()
	c.Subjects = []string{f.subj}
	c.RePublish = &njs.RePublish{Source: f.subj, Destination: f.cfg.RepublishSubject() + ".seed"}
	c.MaxMsgSize += seedHead + 256 // and the header with the expected position
	c.Metadata[metaID] = f.cfg.Ref.String() + " " + strconv.FormatUint(uint64(f.cfg.FirstSeq), 10)
	return c
}

// State is ordering.Founding's.
func (f *founding) State(ctx context.Context) (ordering.State, error) {
	s, err := f.js.Stream(ctx, f.cfg.StreamName())
	if err != nil {
		return ordering.State{}, fmt.Errorf("read state of log %s: %w", f.cfg.Ref, err)
	}
	in := info{Config: s.CachedInfo().Config}
	in.State.FirstSeq, in.State.LastSeq, in.State.Bytes = s.CachedInfo().State.FirstSeq, s.CachedInfo().State.LastSeq, s.CachedInfo().State.Bytes
	return in.state(f.cfg.Ref), nil
}

// seedPause is between one try to reach a log that nobody leads yet and the next one.
const seedPause = 50 * time.Millisecond

// ask sends a message to the log's leader. A log that was just made may have none that is known here, and then nobody has
// the message: it is sent again for as long as there is time.
func (f *founding) ask(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	for {
		m.Subject = f.subj
		reply, err := f.nc.RequestMsgWithContext(ctx, m)
		if !errors.Is(err, nats.ErrNoResponders) {
			return reply, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(seedPause):
		}
		// Who else made the log may have made it anew.
		if s, err := f.js.Stream(ctx, f.cfg.StreamName()); err == nil {
			if err := f.find(s); err != nil {
				return nil, err
			}
		}
	}
}

// Seed is ordering.Founding's.
func (f *founding) Seed(ctx context.Context, e ordering.Entry) error {
	m := nats.NewMsg(f.subj)
	m.Data = encodeSeed(e)
	m.Header.Set(njs.ExpectedLastSeqHeader, strconv.FormatUint(uint64(e.Seq-1), 10))
	reply, err := f.ask(ctx, m)
	if err != nil {
		return fmt.Errorf("seed log %s at %d: %w", f.cfg.Ref, e.Seq, err)
	}
	var ack pubAck
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return fmt.Errorf("seed log %s at %d: parse acknowledgement: %w", f.cfg.Ref, e.Seq, err)
	}
	switch {
	case ack.Error != nil && ack.Error.ErrCode == codeWrongLast:
		return fmt.Errorf("seed log %s at %d: %w: %w", f.cfg.Ref, e.Seq, ordering.ErrTaken, ack.Error)
	case ack.Error != nil:
		return fmt.Errorf("seed log %s at %d: %w", f.cfg.Ref, e.Seq, ack.Error)
	case ack.Seq != uint64(e.Seq):
		return fmt.Errorf("seed log %s at %d: it went to %d", f.cfg.Ref, e.Seq, ack.Seq)
	}
	return nil
}

// Open is ordering.Founding's. Doing it twice is doing it once.
func (f *founding) Open(ctx context.Context) error {
	s, err := f.js.Stream(ctx, f.cfg.StreamName())
	if err != nil {
		return fmt.Errorf("open log %s: %w", f.cfg.Ref, err)
	}
	c := s.CachedInfo().Config
	if slices.Contains(c.Subjects, f.cfg.InputSubject()) {
		return nil
	}
	if err := f.find(s); err != nil {
		return fmt.Errorf("open log %s: %w", f.cfg.Ref, err)
	}
	c.Subjects = []string{f.cfg.InputSubject(), f.cfg.ControlSubject(), f.subj}
	c.RePublish = &njs.RePublish{Source: f.cfg.entries("*"), Destination: f.cfg.RepublishSubject()}
	if _, err := f.js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("open log %s: %w", f.cfg.Ref, err)
	}
	return nil
}

// Prune deletes the logs of the epochs before one. They are over.
func Prune(ctx context.Context, nc *nats.Conn, ref Ref) error {
	js, err := njs.New(nc)
	if err != nil {
		return fmt.Errorf("prune logs: %w", err)
	}
	old, err := before(ctx, js, ref)
	errs := []error{err}
	for _, at := range old {
		if err := Delete(ctx, nc, at); err != nil && !errors.Is(err, ordering.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// hasSubjects tells whether a log's stream has the subjects that it may have: those of inputs, and in
// epochs that go on from another one that of seeds, which is the only one until clients may append.
func (r Ref) hasSubjects(got []string) bool {
	if r.Epoch > 1 && len(got) > 0 && r.isSeed(got[len(got)-1]) {
		got = got[:len(got)-1]
		if len(got) == 0 {
			return true
		}
	}
	return slices.Equal(got, []string{r.InputSubject(), r.ControlSubject()})
}
