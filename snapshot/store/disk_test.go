package store

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"lockstep/ordering"
	"lockstep/snapshot"
)

// cutter is a disk whose power is cut before a write or a sync.
type cutter struct {
	vfs.FS
	at  int
	cut func() *vfs.MemFS

	mu     sync.Mutex
	writes int
	newest ordering.Seq // checkpoint that was saved
	after  *vfs.MemFS   // what is there after the cut
	told   ordering.Seq // newest at the cut
}

func (c *cutter) saved(seq ordering.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = seq
}

func (c *cutter) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes++; c.writes == c.at {
		c.after, c.told = c.cut(), c.newest
	}
}

// end cuts the power if it was not cut yet.
func (c *cutter) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.after == nil {
		c.at, c.after, c.told = c.writes, c.cut(), c.newest
	}
}

func (c *cutter) Create(name string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, w)
	return cutFile{f, c}, err
}

func (c *cutter) ReuseForWrite(from, to string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, w)
	return cutFile{f, c}, err
}

type cutFile struct {
	vfs.File
	c *cutter
}

func (f cutFile) Sync() error {
	f.c.count()
	return f.File.Sync()
}

func (f cutFile) Write(b []byte) (int, error) {
	f.c.count()
	return f.File.Write(b)
}

// quota is a disk of a size. It says how much is free only if it is to.
type quota struct {
	vfs.FS
	silent bool

	mu   sync.Mutex
	free int64
	size map[string]int64
}

func newQuota(free int64, silent bool) *quota {
	return &quota{FS: vfs.NewMem(), silent: silent, free: free, size: make(map[string]int64)}
}

func (q *quota) give(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free += bytes
}

func (q *quota) left() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.free
}

// take books bytes of a file, as many as there is room for.
func (q *quota) take(name string, bytes int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes = min(bytes, max(q.free, 0))
	q.free -= bytes
	q.size[name] += bytes
	return bytes
}

func (q *quota) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if q.silent {
		return vfs.DiskUsage{}, errors.ErrUnsupported
	}
	return vfs.DiskUsage{AvailBytes: uint64(max(q.left(), 0))}, nil
}

func (q *quota) Remove(name string) error {
	err := q.FS.Remove(name)
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.free += q.size[name]
		delete(q.size, name)
	}
	return err
}

func (q *quota) Rename(from, to string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free += q.size[to]
	q.size[to] = q.size[from]
	delete(q.size, from)
	return q.FS.Rename(from, to)
}

func (q *quota) Create(name string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.FS.Create(name, w)
	return quotaFile{f, q, name}, err
}

func (q *quota) ReuseForWrite(from, to string, w vfs.DiskWriteCategory) (vfs.File, error) {
	q.mu.Lock()
	q.size[to] = q.size[from]
	delete(q.size, from)
	q.mu.Unlock()
	f, err := q.FS.ReuseForWrite(from, to, w)
	return quotaFile{f, q, to}, err
}

type quotaFile struct {
	vfs.File
	q    *quota
	name string
}

func (f quotaFile) Write(b []byte) (int, error) {
	room := f.q.take(f.name, int64(len(b)))
	n, err := f.File.Write(b[:room])
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f quotaFile) Preallocate(_, n int64) error {
	if f.q.take(f.name, n) < n {
		return syscall.ENOSPC
	}
	return nil
}

// filled saves checkpoints until the disk is full, and then wants that nothing
// is lost, and that saving goes on as soon as there is room.
func filled(t *testing.T, s *Store, fill, give func()) (kept map[ordering.Seq][]byte) {
	t.Helper()
	r := rand.NewChaCha8([32]byte{5})
	m := newMachine("m")
	m.memory = make([]byte, 8<<20)
	states := make(map[ordering.Seq][]byte)
	var full *FullError
	for full == nil {
		m.seq++
		_, _ = r.Read(m.memory) // random bytes: they do not compress
		m.dirty = m.dirty[:0]
		for i := range uint32(len(m.memory) / snapshot.PageSize) {
			m.dirty = append(m.dirty, i)
		}
		m.tree.Resize(len(m.memory))
		m.tree.Update(m.memory, m.dirty)
		err := s.Save(context.Background(), m.checkpoint())
		if err == nil {
			states[m.seq] = bytes.Clone(m.memory)
		}
		if err != nil && !errors.As(err, &full) {
			t.Fatalf("seq %d: %v, want a *FullError", m.seq, err)
		}
		if m.seq > 100 {
			t.Fatal("the disk does not fill up")
		}
	}
	if len(states) < 2 || !strings.Contains(full.Error(), "is full") {
		t.Fatalf("%d checkpoints were saved; %v", len(states), full)
	}
	fill()
	for range 3 { // trying again changes nothing
		if err := s.Save(context.Background(), m.checkpoint()); !errors.As(err, &full) {
			t.Fatalf("save on a full disk: %v, want a *FullError", err)
		}
	}
	wantKept(t, s, states)
	if s.Room() == nil {
		t.Error("the store says that there is room")
	}
	give()
	if err := s.Room(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	save(t, s, m.checkpoint())
	states[m.seq] = m.memory
	wantKept(t, s, states)
	return states
}

// wantKept wants checkpoints of machine m to be there and whole.
func wantKept(t *testing.T, s *Store, states map[ordering.Seq][]byte) {
	t.Helper()
	for seq, state := range states {
		man, err := s.Manifest("m", 1, seq)
		if err != nil {
			t.Fatalf("checkpoint %d: %v", seq, err)
		}
		wantState(t, s, man, state)
	}
}

// The disk is full as told by the file system, before anything fails.
func TestDiskFull(t *testing.T) {
	q := newQuota(100<<20, false)
	s, err := open("store", q, false)
	if err != nil {
		t.Fatal(err)
	}
	filled(t, s, func() { q.give(-q.left()) }, func() { q.give(200 << 20) })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The disk is full out of the blue: a write of Pebble's fails.
func TestDiskFullUnannounced(t *testing.T) {
	q := newQuota(100<<20, true)
	s, err := open("store", q, false)
	if err != nil {
		t.Fatal(err)
	}
	if q.left() > (100<<20)-ballast {
		t.Error("there is no ballast")
	}
	m := grown("m", rand.New(rand.NewPCG(6, 6)))
	save(t, s, m.checkpoint())
	good := bytes.Clone(m.memory)
	q.give(-q.left()) // somebody else took it all
	r := rand.New(rand.NewPCG(6, 7))
	var full *FullError
	for range 1000 {
		m.step(r)
		if err := s.Save(context.Background(), m.checkpoint()); errors.As(err, &full) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		q.give(-max(0, q.left()-ballast))
	}
	if full == nil {
		t.Fatal("nobody noticed that the disk is full")
	}
	list, err := s.List("m")
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, s, list[0], good)
	q.give(200 << 20)
	save(t, s, m.checkpoint())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Bits that flip in the files of a store: reading a checkpoint names the page,
// or works since the bit was nobody's; Forget makes the next one whole again.
func TestFilesRot(t *testing.T) {
	found := 0
	for seed := range uint64(20) {
		dir := t.TempDir()
		r := rand.New(rand.NewPCG(seed, 8))
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		m := grown("m", r)
		save(t, s, m.checkpoint())
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		rot(t, dir, r)
		if s, err = Open(dir); err != nil {
			if !pebble.IsCorruptionError(err) {
				t.Errorf("seed %d: open: %v, want a corruption", seed, err)
			}
			found++
			continue
		}
		found += survives(t, s, m, r)
		_ = s.Close()
	}
	if found < 5 {
		t.Errorf("only %d of 20 flipped bits were noticed", found)
	}
}

// rot flips a bit in a table.
func rot(t *testing.T, dir string, r *rand.Rand) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	path := tables[r.IntN(len(tables))]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[r.IntN(len(b)*9/10)] ^= 1 << r.IntN(8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// survives goes on with a store in which something may be bad.
func survives(t *testing.T, s *Store, m *machine, r *rand.Rand) (found int) {
	t.Helper()
	list, err := s.List("m")
	if err != nil || len(list) == 0 {
		return 1 // the manifest is bad itself
	}
	if _, err = s.Verify(list[0]); err != nil {
		found = 1
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "machine m") {
			t.Fatalf("verify: %v, want a *CorruptError", err)
		}
		lost, err := s.Rebuild(context.Background())
		if err != nil || len(lost) != 1 || lost[0].Seq != list[0].Seq {
			t.Fatalf("rebuild lost %d checkpoints, %v, want the one that is bad", len(lost), err)
		}
	}
	m.step(r)
	save(t, s, m.checkpoint())
	if list, err = s.List("m"); err != nil || len(list) != 2-found {
		t.Fatalf("%d checkpoints, %v", len(list), err)
	}
	wantState(t, s, list[len(list)-1], m.memory)
	return found
}

// A store that is rebuilt keeps what is whole, at whatever moment it crashes.
func TestRebuildKeepsWhatIsWhole(t *testing.T) {
	for at := 1; ; at++ {
		r := rand.New(rand.NewPCG(11, 11))
		disk := vfs.NewCrashableMem()
		cut := &cutter{FS: disk, at: -1, cut: func() *vfs.MemFS { return disk.CrashClone(vfs.CrashCloneCfg{}) }}
		s, err := open("node/store", cut, false)
		if err != nil {
			t.Fatal(err)
		}
		m := grown("m", r)
		save(t, s, m.checkpoint())
		good, goodSeq := bytes.Clone(m.memory), m.seq
		for m.step(r); len(m.dirty) == 0 || m.tree.Digest(0, m.dirty[0]) == snapshot.ZeroPage; m.step(r) {
		}
		save(t, s, m.checkpoint())
		bad := partKey("m", snapshot.Ref{Index: m.dirty[0], Digest: m.tree.Digest(0, m.dirty[0])})
		if err := s.db.Set(bad, []byte("rot"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		cut.writes, cut.at = 0, at
		if lost, err := s.Rebuild(context.Background()); err != nil || len(lost) != 1 || lost[0].Seq != m.seq {
			t.Fatalf("rebuild lost %+v, %v", lost, err)
		}
		list, err := s.List("m")
		if err != nil || len(list) != 1 || list[0].Seq != goodSeq {
			t.Fatalf("after a rebuild: %d checkpoints, %v", len(list), err)
		}
		wantState(t, s, list[0], good)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if cut.after == nil {
			return // it was cut at each write
		}
		if s, err = open("node/store", cut.after, false); err != nil {
			t.Fatalf("cut at write %d: %v", at, err)
		}
		if list, err = s.List("m"); err != nil || len(list) == 0 || list[0].Seq != goodSeq {
			t.Fatalf("cut at write %d: %d checkpoints, %v", at, len(list), err)
		}
		wantState(t, s, list[0], good)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
