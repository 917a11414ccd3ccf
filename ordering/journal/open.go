package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"lockstep/ordering"
	"lockstep/ordering/journal/durable"
)

// Open opens the journal in a folder, which it makes if it is not there. See the package
// comment for what it does about what a crash left, and about damage.
func Open(dir string, o Options) (*Journal, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.OnSync == nil {
		o.OnSync = func(ordering.Position, error) {}
	}
	if o.create == nil {
		o.create = createFile
	}
	j := &Journal{dir: dir, opts: o, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	j.idle = sync.NewCond(&j.mu)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := j.load(); err != nil {
		for _, s := range j.segments {
			err = errors.Join(err, s.f.Close())
		}
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	j.done.Add(1)
	go j.write()
	return j, nil
}

// loading is the state of reading the segments in order.
type loading struct {
	live    []*segment
	bad     bool              // the newest live segment ends in something that is not whole
	lost    ordering.Position // the newest position seen that the live segments do not reach
	removed []string          // files with nothing in them that counts
}

func (j *Journal) load() error {
	numbers, err := listSegments(j.dir)
	if err != nil {
		return err
	}
	var l loading
	for i, n := range numbers {
		j.next = n + 1
		if err := l.add(segmentPath(j.dir, n), n, i == len(numbers)-1); err != nil {
			return err
		}
	}
	j.segments = l.live
	if err := j.loadFence(l.lost); err != nil {
		return err
	}
	for _, path := range l.removed {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for _, s := range j.segments {
		s.seen = nil
		if err := s.reopen(); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(j.dir); err != nil {
		return err
	}
	j.queued, j.durable = j.newest(), j.newest()
	return nil
}

// add reads one more segment, the last one or not.
func (l *loading) add(path string, number uint64, last bool) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s := &segment{number: number, path: path}
	after, err := s.scan(b)
	if err != nil {
		// Where a crash stopped the making of a segment, the journal goes on before it.
		l.removed = append(l.removed, path)
		l.bad = l.bad || !last
		return nil
	}
	if l.place(s) {
		l.live, l.bad = append(l.live, s), int(s.size) < len(b)
	} else {
		l.removed = append(l.removed, path)
		l.lose(s.last)
	}
	if after != nil {
		l.lose(*after)
	}
	return nil
}

// place makes what the segment leaves of the earlier ones count, and reports whether the
// segment counts itself: not if what leads to its base is missing.
func (l *loading) place(s *segment) bool {
	keep := 0
	switch {
	case s.kind == restart:
	case len(l.live) == 0 && !l.bad:
		return true // what was before is dropped
	default:
		for keep = len(l.live); keep > 0 && !l.live[keep-1].holds(s.base); keep-- {
		}
		if keep == 0 {
			l.bad = true
			return false
		}
		l.live[keep-1].cut(s.base)
	}
	for _, void := range l.live[keep:] {
		l.removed = append(l.removed, void.path)
	}
	l.live = l.live[:keep]
	l.lost = ordering.Position{} // whatever it was, it was given up on purpose
	return true
}

func (l *loading) lose(p ordering.Position) {
	if p.Seq > l.lost.Seq {
		l.lost = p
	}
}

// reopen opens the file to be read, and to be written after what counts.
func (s *segment) reopen() error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.f = diskFile{f}
	if err := f.Truncate(s.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	_, err = f.Seek(s.size, io.SeekStart)
	return err
}

// loadFence reads the fence, and moves it where more was lost just now.
func (j *Journal) loadFence(lost ordering.Position) error {
	path := filepath.Join(j.dir, fenceName)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if len(b) != headerSize {
			return fmt.Errorf("%s has %d bytes, want %d", fenceName, len(b), headerSize)
		}
		if j.fence, _, err = decodeHeader(b); err != nil {
			return fmt.Errorf("read %s: %w", fenceName, err)
		}
	}
	if lost.Seq > j.fence.Seq {
		j.fence = lost
		return durable.WriteFile(path, appendHeader(nil, lost, goesOn))
	}
	return nil
}

// fenceName is the file with the fence: a segment's header and nothing after it.
const fenceName = "fence"
