package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"lockstep/ordering"
	"lockstep/ordering/journal/durable"
)

// file is what the journal needs of a segment's file.
type file interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// segment is one file: a base and the records after it, some of which may be void.
type segment struct {
	number  uint64
	path    string
	f       file
	base    ordering.Position
	kind    byte
	last    ordering.Position   // of the newest record that counts
	offsets []int64             // of the records that count, the first is at base.Seq+1
	seen    []ordering.Position // after each of them; only while the journal is opened
	size    int64               // bytes that are whole and, once the journal is open, durable
	ahead   int64               // the file has this size at least: zeros, from size on
}

const suffix = ".seg"

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", number, suffix))
}

// createSegment makes a segment durable, with nothing in it.
func createSegment(dir string, number uint64, base ordering.Position, kind byte, create func(path string) (file, error)) (*segment, error) {
	s := &segment{number: number, path: segmentPath(dir, number), base: base, kind: kind, last: base, size: headerSize}
	f, err := create(s.path)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(appendHeader(nil, base, kind))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(s.path))
	}
	s.f = f
	return s, nil
}

func createFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// diskFile syncs what is needed to read its data again, and no more.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return datasync(f.File) }

// zeros are what a file is extended by. Records are written over them: to sync bytes that take the place of
// others is one write to the disk, while a file that grows has its file system write to its own journal too, which all
// that sync files there wait for.
var zeros [1 << 20]byte

// extend sees to it that the file reaches to end, unless it has limit bytes. Where that fails records are written all
// the same, if they can be.
func (s *segment) extend(end, limit int64) {
	s.ahead = max(s.ahead, s.size)
	if n := min(int64(len(zeros)), limit-s.ahead); n > 0 && end > s.ahead {
		n, _ := s.f.WriteAt(zeros[:n], s.ahead)
		s.ahead += int64(n)
	}
}

// holds tells, while the journal is opened, whether a position is the segment's base or
// that of one of its records that count.
func (s *segment) holds(p ordering.Position) bool {
	if p.Seq <= s.base.Seq || p.Seq > s.last.Seq {
		return p == s.base
	}
	return s.seen[p.Seq-s.base.Seq-1] == p
}

// cut makes the records after seq not count.
func (s *segment) cut(to ordering.Position) {
	s.offsets = s.offsets[:to.Seq-s.base.Seq]
	s.last = to
}

// read returns the record at seq, which counts.
func (s *segment) read(seq ordering.Seq) (record, error) {
	i := seq - s.base.Seq - 1
	end := s.size
	if int(i)+1 < len(s.offsets) {
		end = s.offsets[i+1]
	}
	b := make([]byte, end-s.offsets[i])
	if _, err := s.f.ReadAt(b, s.offsets[i]); err != nil {
		return record{}, fmt.Errorf("read journal at seq %d: %w", seq, err)
	}
	r, _, err := decodeRecord(b)
	if err == nil && r.entry.Seq != seq {
		err = fmt.Errorf("record is of seq %d", r.entry.Seq)
	}
	if err != nil {
		return record{}, fmt.Errorf("read journal at seq %d: %w", seq, err)
	}
	return r, nil
}

// scan reads what a segment's file holds. It stops at the first record that is not whole
// or does not follow; after is the newest record of a later batch beyond it, which proves that
// the bytes there were durable once.
func (s *segment) scan(b []byte) (after *ordering.Position, err error) {
	if s.base, s.kind, err = decodeHeader(b); err != nil {
		return nil, err
	}
	s.last, s.size = s.base, headerSize
	for int(s.size) < len(b) {
		r, n, bad := decodeRecord(b[s.size:])
		if bad != nil || !s.last.Follows(r.entry) || s.last.Next(r.entry) != r.position() {
			if len(bytes.TrimLeft(b[s.size:], "\x00")) == 0 {
				return nil, nil // room that was not used, in which newest would look for long
			}
			return newest(b[s.size:], s.last.Seq), nil
		}
		s.offsets = append(s.offsets, s.size)
		s.last = r.position()
		s.seen = append(s.seen, s.last)
		s.size += int64(n)
	}
	return nil, nil
}

// newest looks for records beyond one that is not whole, and returns the last position among
// them if one of them starts a batch.
func newest(b []byte, last ordering.Seq) *ordering.Position {
	var found ordering.Position
	group := false
	for i := 1; i < len(b); i++ {
		if _, ok := plausible(b[i:]); !ok {
			continue
		}
		r, n, err := decodeRecord(b[i:])
		if err != nil || r.entry.Seq <= last {
			continue
		}
		group = group || r.group
		if r.entry.Seq > found.Seq {
			found = r.position()
		}
		i += n - 1
	}
	if !group {
		return nil
	}
	return &found
}

// listSegments returns the numbers of the segments in a folder, ascending.
func listSegments(dir string) ([]uint64, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, f := range files {
		text, is := strings.CutSuffix(f.Name(), suffix)
		n, err := strconv.ParseUint(text, 16, 64)
		if is && err == nil && len(text) == 16 {
			numbers = append(numbers, n)
		}
	}
	sort.Slice(numbers, func(i, j int) bool { return numbers[i] < numbers[j] })
	return numbers, nil
}
