package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/ordering"
)

// envWriter makes this test binary write to the journal in the folder that it names.
const envWriter = "LOCKSTEP_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envWriter); dir != "" {
		fmt.Println(writeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever appends and says how far it is durable, until it is killed.
func writeForever(dir string) error {
	var mu sync.Mutex
	j, err := Open(dir, Options{SegmentBytes: 64 << 10, OnSync: func(p ordering.Position, err error) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Printf("%d %x %v\n", p.Seq, p.Chain[:], err)
	}})
	if err != nil {
		return err
	}
	for {
		entries, at := run(j.Last(), 64, uint64(j.Last().Seq))
		for i, e := range entries {
			if err := j.Append(e, at[i]); err != nil {
				return err
			}
			if i%7 == 0 {
				time.Sleep(100 * time.Microsecond) // so that batches are of many sizes
			}
		}
		if j.Last().Seq%1000 < 64 {
			if err := j.Drop(j.Last().Seq - 200); err != nil {
				return err
			}
		}
	}
}

// TestKill kills the writer at random moments: what it said to be durable is there, and
// what is there is a run of entries on one chain.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(7, 7))
	var last ordering.Seq
	for range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envWriter+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said, lines := ordering.Position{}, 0
		for scan := bufio.NewScanner(out); scan.Scan(); lines++ {
			var chain []byte
			var failed string
			if n, _ := fmt.Sscanf(scan.Text(), "%d %x %s", &said.Seq, &chain, &failed); n != 3 || failed != "<nil>" {
				t.Fatalf("writer says %q", scan.Text())
			}
			copy(said.Chain[:], chain)
			if lines == rng.IntN(60) || lines > 60 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if said.Seq <= last || j.Durable().Seq < said.Seq {
			t.Fatalf("journal ends at %v, said to be durable: %v; it ended at %d before", j.Durable(), said, last)
		}
		if got, err := j.At(said.Seq); err != nil || got.Chain != said.Chain {
			t.Fatalf("at %d: %v, %v, want %v", said.Seq, got, err, said)
		}
		if _, fenced := j.Fence(); fenced {
			t.Fatal("a crash is taken for damage")
		}
		last = j.Durable().Seq
		checkRun(t, j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkRun checks that what the journal has is on one chain.
func checkRun(t testing.TB, j *Journal) {
	t.Helper()
	p, err := j.At(j.First() - 1)
	if err != nil {
		t.Fatal(err)
	}
	for p.Seq < j.Durable().Seq {
		got, err := j.Read(p.Seq+1, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if !p.Follows(e) {
				t.Fatalf("%v is followed by %d/%d", p, e.Epoch, e.Seq)
			}
			p = p.Next(e)
			if at, err := j.At(p.Seq); err != nil || at != p {
				t.Fatalf("journal says %v, %v, its entries give %v", at, err, p)
			}
		}
	}
}

// batches writes three batches to a journal of one segment and returns its file, and where each
// batch starts.
func batches(t testing.TB) (file []byte, starts []int64, at []ordering.Position) {
	t.Helper()
	dir := t.TempDir()
	j := open(t, dir, Options{})
	p := ordering.Position{}
	for i := range 3 {
		entries, positions := run(p, 5, uint64(i))
		records := make([]record, len(entries))
		for k := range entries {
			records[k] = record{entry: entries[k], chain: positions[k].Chain}
		}
		j.mu.Lock()
		j.queue = append(j.queue, records...)
		p = positions[4]
		j.queued = p
		j.poke()
		j.mu.Unlock()
		await(t, j, p)
		starts = append(starts, j.segments[0].offsets[5*i])
		at = append(at, positions...)
	}
	file, err := os.ReadFile(j.segments[0].path)
	if err != nil {
		t.Fatal(err)
	}
	if room := file[j.segments[0].size:]; len(room) < 100<<10 || len(bytes.Trim(room, "\x00")) > 0 {
		t.Fatalf("%d bytes are written ahead, want many and zeros", len(room))
	}
	return file[:j.segments[0].size], starts, at
}

// write makes a journal's folder of one segment.
func write(t testing.TB, file []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(segmentPath(dir, 0), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTornTail cuts the file at every byte of the last batch, with and without the zeros that were written ahead, and
// scribbles over any part of it: what was durable before is there, and the journal goes on.
func TestTornTail(t *testing.T) {
	file, starts, at := batches(t)
	durable := at[9]
	check := func(what string, torn []byte) {
		t.Helper()
		j, err := Open(write(t, torn), Options{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer func() { _ = j.Close() }()
		if j.Last().Seq < durable.Seq {
			t.Fatalf("%s: ends at %v, want at least %v", what, j.Last(), durable)
		}
		if _, fenced := j.Fence(); fenced {
			t.Fatalf("%s: taken for damage", what)
		}
		entries, positions := run(j.Last(), 3, 99)
		put(t, j, entries, positions)
		checkRun(t, j)
	}
	for n := int(starts[2]); n <= len(file); n += 11 {
		check(fmt.Sprint("cut at ", n), file[:n])
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		torn := bytes.Clone(file)
		a := int(starts[2]) + rng.IntN(len(file)-int(starts[2]))
		clear(torn[a:min(len(torn), a+rng.IntN(200)+1)])
		check(fmt.Sprint("zeros at ", a), torn)
		check("zeros from there on", append(bytes.Clone(file[:a]), make([]byte, rng.IntN(5000))...))
		torn = append(bytes.Clone(file), make([]byte, rng.IntN(5000))...)
		check("zeros after the end", torn)
	}
}

// TestDamage flips bits in what was durable: the journal notices, keeps what is before, and does
// not let itself be filled with anything but what it had.
func TestDamage(t *testing.T) {
	file, starts, at := batches(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		bit := 8*headerSize + rng.IntN(8*(int(starts[2])-headerSize))
		rotten := bytes.Clone(file)
		rotten[bit/8] ^= 1 << (bit % 8)
		dir := write(t, rotten)
		j := open(t, dir, Options{})
		kept := j.Last()
		fence, fenced := j.Fence()
		if !fenced || fence != at[14] || kept.Seq >= 10 {
			t.Fatalf("bit %d: fence %v %v after %v, want %v", bit, fence, fenced, kept, at[14])
		}
		j = reopen(t, j, Options{}) // the file is mended, the fence stays
		if fence, fenced := j.Fence(); !fenced || fence != at[14] || j.Last() != kept {
			t.Fatalf("bit %d: after a restart: fence %v %v, last %v", bit, fence, fenced, j.Last())
		}
		entries, positions := run(kept, 14-int(kept.Seq), 1000)
		put(t, j, entries, positions)
		other, otherAt := run(positions[len(positions)-1], 1, 1001)
		var broken *FenceError
		if err := j.Append(other[0], otherAt[0]); !errors.As(err, &broken) {
			t.Fatalf("bit %d: another entry at the fence: %v", bit, err)
		}
	}
}

// A journal that was mended with what it had forgets the fence.
func TestDamageMended(t *testing.T) {
	file, _, at := batches(t)
	whole := open(t, write(t, file), Options{})
	rotten := bytes.Clone(file)
	rotten[headerSize+100] ^= 1
	j := open(t, write(t, rotten), Options{})
	entries, err := whole.Read(j.Last().Seq+1, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put(t, j, entries, at[15-len(entries):])
	if _, fenced := j.Fence(); fenced {
		t.Error("fenced")
	}
	if _, err := os.Stat(filepath.Join(j.dir, fenceName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fence file: %v", err)
	}
}

// TestDamagedSegment damages one of many segments.
func TestDamagedSegment(t *testing.T) {
	o := Options{SegmentBytes: 1 << 10}
	j := open(t, t.TempDir(), o)
	entries, at := run(ordering.Position{}, 100, 4)
	for i := range entries {
		put(t, j, entries[i:i+1], at[i:i+1])
	}
	victim := j.segments[3]
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, victim.size-10) },
		"header":  func(path string) error { return os.Truncate(path, 10) },
		"missing": os.Remove,
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(j.dir)); err != nil {
			t.Fatal(err)
		}
		if err := harm(filepath.Join(dir, filepath.Base(victim.path))); err != nil {
			t.Fatal(err)
		}
		for range 2 { // and again after a restart
			k, err := Open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			fence, fenced := k.Fence()
			if !fenced || fence != at[99] || k.Last().Seq > victim.last.Seq {
				t.Errorf("%s: fence %v %v, last %v", name, fence, fenced, k.Last())
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// faulty is a file on a disk that is full from time to time.
type faulty struct {
	file
	disk *disk
}

type disk struct {
	mu    sync.Mutex
	room  int
	short bool // a write that does not fit is made in part
	sync  error
}

var errNoRoom error = syscall.ENOSPC

func (d *disk) create(path string) (file, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	return &faulty{f, d}, nil
}

func (f *faulty) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.room >= len(b) {
		f.disk.room -= len(b)
		return f.file.Write(b)
	}
	if !f.disk.short {
		return 0, errNoRoom
	}
	n, err := f.file.Write(b[:f.disk.room])
	f.disk.room = 0
	return n, errors.Join(errNoRoom, err)
}

// WriteAt makes room, and takes none: it is written over.
func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.room < len(b) {
		return 0, errNoRoom
	}
	return f.file.WriteAt(b, at)
}

func (f *faulty) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return errors.Join(f.disk.sync, f.file.Sync())
}

func (d *disk) set(room int, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.sync = room, sync
}

// TestDiskFull fills the disk: nothing is claimed that is not there, the reason is told, and
// when there is room it goes on with nothing lost.
func TestDiskFull(t *testing.T) {
	for _, short := range []bool{false, true} {
		d := &disk{short: short}
		told := make(chan error, 1024)
		o := Options{SegmentBytes: 8 << 10, create: d.create, OnSync: func(_ ordering.Position, err error) { told <- err }}
		dir := t.TempDir()
		j := open(t, dir, o)
		entries, at := run(ordering.Position{}, 400, 8)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := 0; i < 400; i += 20 {
			d.set(rng.IntN(3000), nil)
			if i%60 == 0 {
				d.set(1<<20, syscall.EIO) // the room is there, the disk does not answer
			}
			for k := i; k < i+20; k++ {
				if err := j.Append(entries[k], at[k]); err != nil {
					t.Fatal(err)
				}
			}
			err := <-told
			if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
				t.Fatalf("told %v", err)
			}
			if err != nil && j.Durable().Seq > ordering.Seq(i) && err != nil && j.Durable() == j.Last() {
				t.Fatalf("durable up to %v with %v", j.Durable(), err)
			}
			crashed := t.TempDir()
			if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			k, err := Open(crashed, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, fenced := k.Fence(); fenced || k.Last().Seq < ordering.Seq(i) {
				t.Fatalf("a crash with a full disk leaves %v, fenced %v, want at least %d", k.Last(), fenced, i)
			}
			checkRun(t, k)
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			d.set(1<<20, nil)
			await(t, j, at[i+19])
			if err := j.Err(); err != nil {
				t.Fatalf("after there is room: %v", err)
			}
			for len(told) > 0 {
				_ = <-told //nolint:staticcheck // an error that is known
			}
		}
		j = reopen(t, j, Options{})
		want(t, j, 1, entries, at[399])
	}
}

func TestFull(t *testing.T) {
	d := &disk{}
	j := open(t, t.TempDir(), Options{create: d.create})
	p := ordering.Position{}
	for n := 0; !j.Full(); n++ {
		if n > MaxQueued/(1<<19) {
			t.Fatal("never full")
		}
		e := ordering.Entry{Epoch: 1, Seq: p.Seq + 1, Data: make([]byte, 1<<19)}
		p = p.Next(e)
		if err := j.Append(e, p); err != nil {
			t.Fatal(err)
		}
	}
	d.set(1<<30, nil)
	await(t, j, p)
	if j.Full() {
		t.Error("still full")
	}
}

// FuzzScan reads a segment of any bytes: what counts of it encodes to the very bytes that
// were read, and is on one chain.
func FuzzScan(f *testing.F) {
	file, starts, _ := batches(f)
	f.Add(file)
	f.Add(file[:starts[1]+3])
	f.Add(append(bytes.Clone(file[:starts[1]+3]), file[starts[2]:]...))
	f.Add(file[:headerSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s segment
		after, err := s.scan(b)
		if err != nil {
			return
		}
		again := appendHeader(nil, s.base, s.kind)
		p := s.base
		for i, at := range s.offsets {
			r, _, err := decodeRecord(b[at:])
			if err != nil || !p.Follows(r.entry) || p.Next(r.entry) != r.position() || s.seen[i] != r.position() {
				t.Fatalf("record %d: %v, after %v", i, err, p)
			}
			p = r.position()
			again = r.appendTo(again)
		}
		if p != s.last || !bytes.Equal(again, b[:s.size]) {
			t.Fatalf("ends at %v, encodes to %x", s.last, again)
		}
		if after != nil && after.Seq <= s.last.Seq {
			t.Fatalf("lost %v, has %v", after, s.last)
		}
	})
}
