package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lockstep/ordering"
	"lockstep/snapshot"
)

const wasmPage = 64 << 10

// machine is a state that changes, and the checkpoints of it.
type machine struct {
	name   string
	seq    ordering.Seq
	memory []byte
	tree   *snapshot.Tree
	dirty  []uint32
}

func newMachine(name string) *machine { return &machine{name: name, tree: snapshot.NewTree()} }

// step changes the memory at random.
func (m *machine) step(r *rand.Rand) {
	m.seq++
	before := len(m.memory)
	if r.IntN(3) == 0 {
		m.memory = append(m.memory[:before:before], make([]byte, r.IntN(4)*wasmPage)...)
	}
	m.dirty = m.dirty[:0]
	for i := range uint32(len(m.memory) / snapshot.PageSize) {
		switch {
		case r.IntN(8) == 0:
			binary.BigEndian.PutUint64(m.memory[int(i)*snapshot.PageSize:], r.Uint64())
			m.dirty = append(m.dirty, i)
		case int(i)*snapshot.PageSize >= before:
			m.dirty = append(m.dirty, i)
		}
	}
	m.tree.Resize(len(m.memory))
	m.tree.Update(m.memory, m.dirty)
}

func (m *machine) checkpoint() *snapshot.Checkpoint {
	return &snapshot.Checkpoint{Tree: m.tree.View(), Memory: snapshot.Copied(bytes.Clone(m.memory)), Manifest: snapshot.Manifest{
		Machine: m.name, Epoch: 1, Seq: m.seq, Size: uint64(len(m.memory)), Pages: m.tree.Root(), System: []byte{byte(m.seq)},
	}}
}

// grown is a machine that has some memory.
func grown(name string, r *rand.Rand) *machine {
	m := newMachine(name)
	for len(m.memory) == 0 || len(m.dirty) == 0 {
		m.step(r)
	}
	return m
}

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func save(t *testing.T, s *Store, c *snapshot.Checkpoint) {
	t.Helper()
	if err := s.Save(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// wantState restores a checkpoint into an empty memory.
func wantState(t *testing.T, s *Store, man snapshot.Manifest, want []byte) {
	t.Helper()
	got := make([]byte, man.Size)
	tree := snapshot.NewTree()
	tree.Resize(len(got))
	if err := s.Restore(man, tree.View(), func(pages []snapshot.Page) error {
		for _, p := range pages {
			copy(got[int(p.Index)*snapshot.PageSize:], p.Data)
		}
		return nil
	}); err != nil {
		t.Fatalf("restore seq %d: %v", man.Seq, err)
	}
	if want != nil && !bytes.Equal(got, want) {
		t.Fatalf("restored state at seq %d is not what was saved", man.Seq)
	}
	all := snapshot.NewTree()
	all.Resize(len(got))
	var pages []uint32
	for i := range uint32(len(got) / snapshot.PageSize) {
		pages = append(pages, i)
	}
	all.Update(got, pages)
	if all.Root() != man.Pages {
		t.Fatalf("restored state at seq %d has root %v, want %v", man.Seq, all.Root(), man.Pages)
	}
}

func TestSaveRestoreExpire(t *testing.T) {
	s := openStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(1, 1))
	a, b := newMachine("a"), newMachine("ab") // one name begins like the other
	states := make(map[string][]byte)
	for i := range 30 {
		for _, m := range []*machine{a, b} {
			m.step(r)
			save(t, s, m.checkpoint())
			states[fmt.Sprint(m.name, m.seq)] = bytes.Clone(m.memory)
			if err := s.Expire(m.name, Retention{Newest: 3, Agreed: m.seq}); err != nil {
				t.Fatal(err)
			}
			list, err := s.List(m.name)
			if err != nil || len(list) != min(i+1, 3) {
				t.Fatalf("%d checkpoints of %s listed, %v", len(list), m.name, err)
			}
			for _, man := range list {
				wantState(t, s, man, states[fmt.Sprint(m.name, man.Seq)])
			}
		}
	}
	// Nothing is left of what was expired: the store holds what a new one would.
	for _, m := range []*machine{a, b} {
		if err := s.Expire(m.name, Retention{Newest: 1, Agreed: m.seq}); err != nil {
			t.Fatal(err)
		}
	}
	fresh := openStore(t, t.TempDir())
	save(t, fresh, a.checkpoint())
	save(t, fresh, b.checkpoint())
	if got, want := keys(t, s), keys(t, fresh); got != want {
		t.Errorf("%d keys are left after expiring all but the last checkpoints, want %d", got, want)
	}
}

func keys(t *testing.T, s *Store) (n int) {
	t.Helper()
	it, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// A checkpoint is whole whatever was saved between it and the one before, and
// one that cannot be saved changes nothing.
func TestSaveBuildsOnWhatIsThere(t *testing.T) {
	s := openStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(2, 2))
	m := grown("m", r)
	save(t, s, m.checkpoint())
	first := bytes.Clone(m.memory)
	m.step(r)
	m.step(r)
	rotten := m.checkpoint()
	for i := range rotten.Memory.(snapshot.Copied) {
		rotten.Memory.(snapshot.Copied)[i] ^= 1
	}
	if err := s.Save(context.Background(), rotten); !errors.Is(err, snapshot.ErrWrongBytes) {
		t.Fatalf("save of memory that is not the tree's: %v, want ErrWrongBytes", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Save(ctx, m.checkpoint()); !errors.Is(err, context.Canceled) {
		t.Fatalf("save that is cancelled: %v", err)
	}
	list, err := s.List("m")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d checkpoints, %v", len(list), err)
	}
	wantState(t, s, list[0], first)
	save(t, s, m.checkpoint())
	if man, err := s.Manifest("m", 1, m.seq); err != nil {
		t.Error(err)
	} else {
		wantState(t, s, man, m.memory)
	}
	if _, err := s.Manifest("m", 1, 999); !errors.Is(err, ErrNotFound) {
		t.Errorf("manifest of a seq that is not there: %v", err)
	}
	if names, err := s.Machines(); err != nil || fmt.Sprint(names) != "[m]" {
		t.Errorf("machines %v, %v", names, err)
	}
}

// reads counts the pages that are read of a memory.
type reads struct {
	snapshot.Frozen
	pages int
}

func (r *reads) Page(i uint32) []byte {
	r.pages++
	return r.Frozen.Page(i)
}

// What a checkpoint has in common with one that is there is not even read.
func TestSaveReadsOnlyWhatIsNew(t *testing.T) {
	s := openStore(t, t.TempDir())
	m := newMachine("m")
	m.memory = make([]byte, 32*wasmPage)
	for i := range m.memory {
		m.memory[i] = byte(i / snapshot.PageSize)
	}
	for i := range uint32(len(m.memory) / snapshot.PageSize) {
		m.dirty = append(m.dirty, i)
	}
	m.tree.Resize(len(m.memory))
	m.tree.Update(m.memory, m.dirty)
	save(t, s, m.checkpoint())
	changed := []uint32{7, 300}
	for _, i := range changed {
		m.memory[int(i)*snapshot.PageSize]++
	}
	m.tree.Update(m.memory, changed)
	m.seq++
	next := m.checkpoint()
	read := &reads{Frozen: next.Memory}
	next.Memory = read
	save(t, s, next)
	if read.pages != len(changed) {
		t.Errorf("%d pages were read, want %d", read.pages, len(changed))
	}
	wantState(t, s, next.Manifest, m.memory)
}

// A part that went bad on disk is named, and never handed out.
func TestCorruption(t *testing.T) {
	s := openStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(3, 3))
	m := grown("m", r)
	save(t, s, m.checkpoint())
	var page snapshot.Ref
	for _, i := range m.dirty { // one that is stored: pages of zeros are not
		if d := m.tree.Digest(0, i); d != snapshot.ZeroPage {
			page = snapshot.Ref{Index: i, Digest: d}
		}
	}
	node := snapshot.Ref{Level: 1, Digest: m.tree.Digest(1, 0)}
	for _, part := range []snapshot.Ref{page, node} {
		good, err := s.get(partKey("m", part))
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string][]byte{"flipped": flipped(good), "cut": good[:len(good)-1], "empty": {}} {
			if err := s.db.Set(partKey("m", part), bad, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			var corrupt *CorruptError
			if _, err := s.Part("m", part); !errors.As(err, &corrupt) || corrupt.Part != part {
				t.Errorf("level %d, %s: %v, want a *CorruptError that names it", part.Level, name, err)
			}
		}
		if err := s.db.Set(partKey("m", part), good, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Part("m", page); err != nil {
		t.Error(err)
	}
	if _, err := s.Part("other", page); !errors.Is(err, ErrNotFound) {
		t.Errorf("part of another machine: %v", err)
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// envCrash makes this test binary save checkpoints in a folder until it is killed.
const envCrash = "LOCKSTEP_STORE_CRASH"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envCrash); dir != "" {
		saveForEver(dir)
		return
	}
	os.Exit(m.Run())
}

func saveForEver(dir string) {
	s, err := Open(dir)
	if err != nil {
		panic(err)
	}
	list, err := s.List("m")
	if err != nil {
		panic(err)
	}
	m := newMachine("m")
	if n := len(list); n > 0 {
		m.seq = list[n-1].Seq
	}
	r := rand.New(rand.NewPCG(uint64(m.seq), uint64(os.Getpid())))
	for {
		m.step(r)
		if err := s.Save(context.Background(), m.checkpoint()); err != nil {
			panic(err)
		}
		if err := s.Expire("m", Retention{Newest: 2, Agreed: m.seq}); err != nil {
			panic(err)
		}
		// Saved: whoever reads this may rely on it.
		if _, err := fmt.Fprintln(os.Stdout, m.seq); err != nil {
			panic(err)
		}
	}
}

// A process that is killed at any moment leaves every checkpoint that it lists
// whole, and every one that it told of.
func TestKillAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(4, 4))
	for round := range 12 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), envCrash+"="+dir)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// The moment is random; the process never ends by itself.
		<-time.After(time.Duration(30+r.IntN(250)) * time.Millisecond)
		if err := c.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatalf("round %d: the process ended by itself: %v", round, err)
		}
		_ = c.Wait()
		checkSurvivors(t, dir, out.Bytes())
	}
}

func checkSurvivors(t *testing.T, dir string, told []byte) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	defer func() { _ = s.Close() }()
	list, err := s.List("m")
	if err != nil {
		t.Fatal(err)
	}
	for _, man := range list {
		wantState(t, s, man, nil)
	}
	lines := bytes.Split(bytes.TrimSpace(told), []byte("\n"))
	var last ordering.Seq
	if _, err := fmt.Sscan(string(lines[len(lines)-1]), &last); err != nil {
		return // killed before the first
	}
	if len(list) == 0 || list[len(list)-1].Seq < last {
		t.Errorf("the process said that seq %d is saved, and it is not there", last)
	}
}
