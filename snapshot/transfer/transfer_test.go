package transfer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/snapshot"
	"lockstep/snapshot/transfer"
)

const pages = 1024

// state is a memory that donors hold.
type state struct {
	memory         []byte
	tree           *snapshot.Tree
	root           audit.Digest
	asked          atomic.Int64
	held, released atomic.Int64
	lie            func([]byte) []byte // what a liar makes of a part; nil for an honest donor
}

func newState(seed uint64) *state {
	s := &state{memory: make([]byte, pages*snapshot.PageSize), tree: snapshot.NewTree()}
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range s.memory {
		s.memory[i] = byte(r.Uint32())
	}
	clear(s.memory[5*snapshot.PageSize : 9*snapshot.PageSize])
	s.update(all())
	return s
}

func all() (list []uint32) {
	for i := range uint32(pages) {
		list = append(list, i)
	}
	return list
}

func (s *state) update(dirty []uint32) {
	s.tree.Resize(len(s.memory))
	s.tree.Update(s.memory, dirty)
	s.root = s.tree.Root() // here: it changes the tree, and donors read it
}

// copy is the same state but for one byte in each of n pages.
func (s *state) copy(n int) *state {
	c := &state{memory: bytes.Clone(s.memory), tree: snapshot.NewTree()}
	for i := range n {
		c.memory[i*(pages/n)*snapshot.PageSize+7] ^= 1
	}
	c.update(all())
	return c
}

func (s *state) manifest() snapshot.Manifest {
	return snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(len(s.memory)), Pages: s.root}
}

func (s *state) Manifest(ordering.Epoch, ordering.Seq) ([]byte, error) {
	return s.told(s.manifest().Encode()), nil
}

func (s *state) Hold(_ ordering.Epoch, _ ordering.Seq, _ uint64, d time.Duration) error {
	if s.held.Add(1); d == 0 {
		s.released.Add(1)
	}
	return nil
}

func (s *state) Parts(refs []snapshot.Ref, give func([]byte) bool) error {
	for _, p := range refs {
		s.asked.Add(1)
		var part []byte
		if p.Level > 0 {
			part = s.told(s.tree.Node(int(p.Level), p.Index))
		} else {
			part = transfer.Pack(s.told(s.memory[int(p.Index)*snapshot.PageSize:][:snapshot.PageSize]))
		}
		if !give(part) {
			break
		}
	}
	return nil
}

func (s *state) told(b []byte) []byte {
	if s.lie == nil {
		return b
	}
	return s.lie(bytes.Clone(b))
}

func (s *state) Blob(d audit.Digest) ([]byte, error) {
	if host.ModuleDigest(s.memory) != d {
		return nil, transfer.ErrNotHere
	}
	return s.told(s.memory), nil
}

// patch is what a transfer calls.
func (s *state) patch(list []snapshot.Page) error {
	var dirty []uint32
	for _, p := range list {
		copy(s.memory[int(p.Index)*snapshot.PageSize:], p.Data)
		dirty = append(dirty, p.Index)
	}
	s.update(dirty)
	return nil
}

// bench is a server with donors.
type bench struct {
	t    *testing.T
	conn *nats.Conn
}

func newBench(t *testing.T) *bench {
	return &bench{t, jetstreamtest.Start(t, 1).ConnectAny(t)}
}

func (b *bench) donor(name string, from transfer.Source) transfer.Donor {
	b.t.Helper()
	d := transfer.Donor{Name: name, Subject: "donor." + strings.ReplaceAll(name, " ", "_")}
	if _, err := transfer.Serve(b.t.Context(), b.conn, d.Subject, from, nil, nil); err != nil {
		b.t.Fatal(err)
	}
	return d
}

// raw is a donor that answers with whatever bytes.
func (b *bench) raw(name string, answer func(*nats.Msg)) transfer.Donor {
	b.t.Helper()
	d := transfer.Donor{Name: name, Subject: "donor." + strings.ReplaceAll(name, " ", "_")}
	if _, err := b.conn.Subscribe(d.Subject, answer); err != nil {
		b.t.Fatal(err)
	}
	return d
}

// patient is a donor that answers one part at a time until another donor has
// been asked.
type patient struct {
	*state
	asked atomic.Bool
}

func (p *patient) Parts(refs []snapshot.Ref, give func([]byte) bool) error {
	if !p.asked.Load() {
		refs = refs[:1]
	}
	return p.state.Parts(refs, give)
}

func (b *bench) after(other transfer.Donor, from *state) transfer.Source {
	p := &patient{state: from}
	if other.Name == "absent" { // listening would make it present
		return p
	}
	if _, err := b.conn.Subscribe(other.Subject, func(*nats.Msg) { p.asked.Store(true) }); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// fetch makes local the wanted state.
func (b *bench) fetch(local, want *state, donors ...transfer.Donor) (transfer.Stats, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	told := make(chan string, len(donors))
	stats, err := transfer.Fetch{
		Conn: b.conn, Donors: donors, Want: want.manifest(), Local: local.tree, Patch: local.patch,
		OnDrop: func(d transfer.Donor, _ error) { told <- d.Name },
	}.Run(ctx)
	for _, name := range stats.Dropped {
		if len(told) == 0 || <-told != name {
			b.t.Errorf("nobody was told that %s was dropped", name)
		}
	}
	if err == nil && !bytes.Equal(local.memory, want.memory) {
		b.t.Error("transfer ended, and the state is not the wanted one")
	}
	return stats, err
}

func TestOnlyWhatDiffers(t *testing.T) {
	b := newBench(t)
	want := newState(1)
	donors := []transfer.Donor{b.donor("a", want), b.donor("b", want)}
	for _, n := range []int{1, 10, 64} {
		stats, err := b.fetch(want.copy(n), want, donors...)
		if err != nil || stats.Pages != n {
			t.Errorf("%d pages differ: %+v, %v", n, stats, err)
		}
		// Random pages do not compress: what is left is the tree's share.
		if limit := uint64(n*snapshot.PageSize) + uint64(stats.Nodes*snapshot.NodeSize) + 64*uint64(n) + 4096; stats.Bytes > limit {
			t.Errorf("%d pages differ: %d bytes received, over %d", n, stats.Bytes, limit)
		}
	}
	before := want.asked.Load()
	if stats, err := b.fetch(want.copy(1), want, donors...); err != nil || stats.Pages != 1 {
		t.Errorf("one page: %+v, %v", stats, err)
	}
	if asked := want.asked.Load() - before; asked > 8 {
		t.Errorf("%d parts asked for one page", asked)
	}
	same := &state{memory: bytes.Clone(want.memory), tree: snapshot.NewTree()}
	same.update(all())
	if stats, err := b.fetch(same, want, donors...); err != nil || stats.Bytes != 0 {
		t.Errorf("equal states: %+v, %v", stats, err)
	}
	empty := &state{memory: make([]byte, len(want.memory)), tree: snapshot.NewTree()}
	empty.tree.Resize(len(want.memory))
	if stats, err := b.fetch(empty, want, donors...); err != nil || stats.Pages != pages {
		t.Errorf("empty memory: %+v, %v", stats, err)
	}
}

// Donors that lie, stay silent or talk nonsense are dropped and named; the
// state arrives from the honest one, or not at all.
func TestBadDonors(t *testing.T) {
	b := newBench(t)
	want := newState(2)
	liar := func(lie func([]byte) []byte) *state {
		return &state{memory: want.memory, tree: want.tree, root: want.root, lie: lie}
	}
	for name, bad := range map[string]transfer.Donor{
		"flipped":   b.donor("flipped", liar(func(p []byte) []byte { p[len(p)-1] ^= 1; return p })),
		"short":     b.donor("short", liar(func(p []byte) []byte { return p[:len(p)-1] })),
		"empty":     b.donor("empty", liar(func([]byte) []byte { return nil })),
		"huge":      b.donor("huge", liar(func(p []byte) []byte { return make([]byte, 4<<20) })),
		"absent":    {Name: "absent", Subject: "donor.absent"},
		"nothing":   b.raw("nothing", func(m *nats.Msg) { _ = m.Respond(nil) }),
		"garbage":   b.raw("garbage", func(m *nats.Msg) { _ = m.Respond([]byte("garbage, not zstd")) }),
		"silent":    b.raw("silent", func(*nats.Msg) {}),
		"unrelated": b.raw("unrelated", func(m *nats.Msg) { _ = m.Respond([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0}) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			honest := b.donor("honest beside "+name, b.after(bad, want))
			stats, err := b.fetch(want.copy(512), want, honest, bad)
			if err != nil {
				t.Fatalf("with an honest donor: %v", err)
			}
			if got := fmt.Sprint(stats.Dropped); got != "["+bad.Name+"]" {
				t.Errorf("dropped %s, want %s", got, bad.Name)
			}
			local := want.copy(3)
			_, err = b.fetch(local, want, bad)
			if !errors.Is(err, transfer.ErrNoDonor) || !strings.Contains(err.Error(), bad.Name) {
				t.Errorf("alone: %v, want ErrNoDonor and its name", err)
			}
		})
	}
}

// What a broken transfer had fetched is not fetched again.
func TestResume(t *testing.T) {
	b := newBench(t)
	want := newState(3)
	local := want.copy(512)
	tired := &state{memory: want.memory, tree: want.tree, root: want.root}
	var given atomic.Int64
	tired.lie = func(p []byte) []byte {
		if given.Add(1) > 300 {
			return nil
		}
		return p
	}
	if _, err := b.fetch(local, want, b.donor("tired", tired)); !errors.Is(err, transfer.ErrNoDonor) {
		t.Fatalf("donor that stops: %v", err)
	}
	stats, err := b.fetch(local, want, b.donor("fresh", want))
	if err != nil || stats.Pages == 0 || stats.Pages > 400 {
		t.Errorf("second try: %+v, %v, want the rest of 512 pages", stats, err)
	}
}

func TestManifest(t *testing.T) {
	b := newBench(t)
	want := newState(4)
	liar := b.donor("liar", &state{memory: want.memory, tree: want.tree, root: want.root, lie: func(p []byte) []byte { p[len(p)-1] ^= 1; return p }})
	other := b.donor("other", newState(5))
	good := b.donor("good", want)
	root := want.manifest().Root()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if man, err := transfer.Manifest(ctx, b.conn, []transfer.Donor{liar, other, good}, 1, 9, root); err != nil || man.Root() != root {
		t.Errorf("manifest %+v, %v", man, err)
	}
	_, err := transfer.Manifest(ctx, b.conn, []transfer.Donor{liar, other}, 1, 9, root)
	if !errors.Is(err, snapshot.ErrWrongBytes) || !strings.Contains(err.Error(), "liar") {
		t.Errorf("without the good one: %v", err)
	}
}

func TestBlob(t *testing.T) {
	b := newBench(t)
	want := newState(6)
	digest := host.ModuleDigest(want.memory)
	good := b.donor("good", want).Subject
	bad := b.donor("bad", &state{memory: want.memory, tree: want.tree, root: want.root, lie: func(p []byte) []byte { p[7] ^= 1; return p }}).Subject
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := transfer.Blob(ctx, b.conn, []string{"donor.nobody", bad, good}, digest, len(want.memory))
	if err != nil || !bytes.Equal(got, want.memory) {
		t.Errorf("blob: %d bytes, %v", len(got), err)
	}
	if _, err := transfer.Blob(ctx, b.conn, []string{bad}, digest, len(want.memory)); err == nil {
		t.Error("a blob of another digest was taken")
	}
	if _, err := transfer.Blob(ctx, b.conn, []string{good}, digest, 1000); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("blob over the limit: %v", err)
	}
	if _, err := transfer.Blob(ctx, b.conn, []string{good}, audit.Digest{9}, 1<<30); err == nil {
		t.Error("a blob that nobody has was fetched")
	}
	none := b.donor("none", &state{memory: []byte{}, tree: want.tree, root: want.root}).Subject
	if got, err := transfer.Blob(ctx, b.conn, []string{none}, host.ModuleDigest(nil), 1000); err != nil || len(got) != 0 {
		t.Errorf("an empty blob: %d bytes, %v", len(got), err)
	}
}

// A donor that is late once is asked again.
func TestBlobIsLate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := newState(9)
	good := b.donor("good", want).Subject
	asked := 0
	if _, err := b.conn.Subscribe("donor.late", func(m *nats.Msg) {
		if asked++; asked > 1 {
			_ = b.conn.PublishRequest(good, m.Reply, m.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
	got, err := transfer.Blob(t.Context(), b.conn, []string{"donor.late"}, host.ModuleDigest(want.memory), len(want.memory))
	if err != nil || !bytes.Equal(got, want.memory) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Requests that make no sense are answered with an error, and the donor goes on.
func TestHostileRequests(t *testing.T) {
	b := newBench(t)
	want := newState(7)
	d := b.donor("donor", want)
	r := rand.New(rand.NewPCG(7, 7))
	for n := range 200 {
		junk := make([]byte, r.IntN(300))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		if n%2 == 0 {
			junk = append([]byte("LST1"), junk...)
		}
		if _, err := b.conn.Request(d.Subject, junk, 5*time.Second); err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
	}
	if stats, err := b.fetch(want.copy(2), want, d); err != nil || stats.Pages != 2 {
		t.Errorf("afterwards: %+v, %v", stats, err)
	}
}

// A donor that gives a blob a byte at a time, or changes its size, is given up, and named; the next one has it.
func TestBlobThatDrips(t *testing.T) {
	b := newBench(t)
	honest := newState(8)
	digest := host.ModuleDigest(honest.memory)
	size := uint64(len(honest.memory))
	asked := 0
	if _, err := b.conn.Subscribe("donor.drip", func(m *nats.Msg) {
		asked++
		part := transfer.Pack(honest.memory[asked-1 : asked])
		reply := binary.AppendUvarint([]byte("LSX1\x00"), size)
		_ = m.Respond(append(binary.AppendUvarint(reply, uint64(len(part))), part...))
	}); err != nil {
		t.Fatal(err)
	}
	grown := uint64(0)
	if _, err := b.conn.Subscribe("donor.grows", func(m *nats.Msg) {
		part := transfer.Pack(honest.memory[:snapshot.PageSize])
		reply := binary.AppendUvarint([]byte("LSX1\x00"), size+grown)
		grown++
		_ = m.Respond(append(binary.AppendUvarint(reply, uint64(len(part))), part...))
	}); err != nil {
		t.Fatal(err)
	}
	_, err := transfer.Blob(t.Context(), b.conn, []string{"donor.drip", "donor.grows"}, digest, 64<<20)
	if err == nil || !strings.Contains(err.Error(), "donor.drip") || !strings.Contains(err.Error(), "it had") || asked > 2 {
		t.Errorf("a blob that drips: %v, after %d questions", err, asked)
	}
	if _, err := transfer.Serve(t.Context(), b.conn, "donor.honest", honest, transfer.NewLimit(transfer.MinLimit*100), nil); err != nil {
		t.Fatal(err)
	}
	blob, err := transfer.Blob(t.Context(), b.conn, []string{"donor.drip", "donor.honest"}, digest, 64<<20)
	if err != nil || !bytes.Equal(blob, honest.memory) {
		t.Errorf("%d bytes, %v", len(blob), err)
	}
}

// A donor that gives a page in each second that passes, of something long, as one at the end of a slow line would, holds up neither
// a blob nor a manifest for longer than a reply may take: the next one is asked beside it.
func TestSlowDonorIsOvertaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := newState(10)
	slow := transfer.Donor{Name: "slow", Subject: "donor.slow"}
	if _, err := b.conn.Subscribe(slow.Subject, func(m *nats.Msg) {
		part := transfer.Pack(make([]byte, snapshot.PageSize))
		reply := binary.AppendUvarint([]byte("LSX1\x00"), 32<<20)
		reply = append(binary.AppendUvarint(reply, uint64(len(part))), part...)
		time.AfterFunc(time.Second, func() { _ = m.Respond(reply) })
	}); err != nil {
		t.Fatal(err)
	}
	good := b.donor("good", want)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // it alone would take hours, and is given up after half of one
	defer cancel()
	root := want.manifest().Root()
	if man, err := transfer.Manifest(ctx, b.conn, []transfer.Donor{slow, good}, 1, 9, root); err != nil || man.Root() != root {
		t.Errorf("manifest: %v", err)
	}
	got, err := transfer.Blob(ctx, b.conn, []string{slow.Subject, good.Subject}, host.ModuleDigest(want.memory), 64<<20)
	if err != nil || !bytes.Equal(got, want.memory) {
		t.Errorf("blob: %d bytes, %v", len(got), err)
	}
}
