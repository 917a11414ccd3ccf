package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Bounds of the store's use of memory and disk.
const (
	memTable = 4 << 20
	// spare is the room that every write leaves: what Pebble writes of its own
	// accord while it flushes and merges what it was given.
	spare = 32 << 20
	// ballast is a file that holds room for Pebble to end what it has begun when
	// others fill the disk all the same.
	ballast     = 16 << 20
	ballastName = "ballast"
)

// FullError says that there is no room on disk for a checkpoint. What was saved
// before is as it was, and the store takes checkpoints again when there is room.
type FullError struct {
	Dir  string
	Free uint64 // bytes
	Want uint64 // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("disk of %s is full: %d MiB are free, %d MiB are needed; make room: what was saved is intact, and checkpoints are saved again then",
		e.Dir, e.Free>>20, (e.Want+1<<20-1)>>20)
}

// room watches over the disk's space. Pebble ends the process where it cannot
// write its own log, so that a full disk must be noticed before: by asking how
// much is free, and by the ballast where somebody else takes it in between.
type room struct {
	dir   string
	files vfs.FS

	full atomic.Bool // the ballast was thrown off

	mu sync.Mutex // guards making the ballast
}

func newRoom(dir string, files vfs.FS) *room { return &room{dir: dir, files: files} }

// guard is the file system that Pebble is to use.
func (r *room) guard() vfs.FS { return vfs.OnDiskFull(r.files, r.throwOff) }

func (r *room) ballast() string { return r.files.PathJoin(r.dir, ballastName) }

// throwOff makes room by removing the ballast.
func (r *room) throwOff() {
	r.full.Store(true)
	_ = r.files.Remove(r.ballast()) // gone already if it was thrown off before
}

// reserve makes the ballast if it is not there and there is room. A file system
// that cannot do that has none.
func (r *room) reserve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.files.Stat(r.ballast()); err == nil {
		return
	}
	if free, ok := r.free(); ok && free < ballast+spare {
		return
	}
	f, err := r.files.Create(r.ballast(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return
	}
	if err := errors.Join(f.Preallocate(0, ballast), f.Sync(), f.Close()); err != nil {
		_ = r.files.Remove(r.ballast()) // an empty one holds nothing
	}
}

func (r *room) free() (uint64, bool) {
	usage, err := r.files.GetDiskUsage(r.dir)
	if err != nil { // it may not be there yet
		usage, err = r.files.GetDiskUsage(r.files.PathDir(r.dir))
	}
	return usage.AvailBytes, err == nil
}

// open sees to the room that Pebble takes to open: it writes out what its log has.
// The ballast is for that too, so that a node whose disk is full can start.
func (r *room) open() error {
	free, known := r.free()
	if !known || free >= ballast {
		return nil
	}
	r.throwOff()
	if free, known = r.free(); known && free < ballast {
		return &FullError{r.dir, free, ballast}
	}
	return nil
}

// check returns a *FullError unless there is room for so many bytes.
func (r *room) check(bytes uint64) error {
	free, known := r.free()
	want := bytes + spare
	if r.full.Load() {
		want += ballast
	}
	if known && free < want {
		return &FullError{r.dir, free, want}
	}
	if r.full.Swap(false) {
		if !known {
			return &FullError{r.dir, 0, want} // this once: the next try shows
		}
		r.reserve()
	}
	return nil
}

// Room returns a *FullError while there is no room for a checkpoint.
func (s *Store) Room() error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	return s.room.check(saveBatch)
}
