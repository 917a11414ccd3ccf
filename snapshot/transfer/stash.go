package transfer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"lockstep/snapshot"
)

// Stash is a file of the pages that arrived in a transfer that has not ended,
// so that a fetcher that is killed need not fetch them again. It says nothing
// that is relied on: its pages are put where they were, and the walk of the next
// try finds those that are not right or not there. So it is not synced, and
// where it cannot be written it is left off.
//
//	"LSt1", then for each page: index (4 bytes), length (2 bytes), zstd frame
type Stash struct {
	file *os.File
	w    *bufio.Writer
	size int64
	err  error // the first one; nothing is written after it
}

const (
	stashMagic  = "LSt1"
	stashRecord = 6       // bytes before the frame
	maxFrame    = 5 << 10 // of a page
	maxStash    = snapshot.MaxPages * (stashRecord + maxFrame)
)

// OpenStash opens a stash, or makes it, and hands the pages in it that are
// below a size in bytes to patch, in batches; patch must not keep them. It
// returns how many there were.
func OpenStash(path string, size uint64, patch func([]snapshot.Page) error) (*Stash, int, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open stash of a transfer: %w", err)
	}
	j := &Stash{file: file}
	n, err := j.replay(uint32(size/snapshot.PageSize), patch)
	if err != nil {
		return nil, n, errors.Join(err, file.Close())
	}
	return j, n, nil
}

// replay reads what is whole and cuts off what is not.
func (j *Stash) replay(pages uint32, patch func([]snapshot.Page) error) (n int, err error) {
	in := bufio.NewReaderSize(j.file, 1<<20)
	var batch []snapshot.Page
	slab := slabs.Get().(*[maxRefs * snapshot.PageSize]byte)
	defer slabs.Put(slab)
	flush := func() error {
		n += len(batch)
		err := patch(batch)
		batch = batch[:0]
		return err
	}
	magic := make([]byte, len(stashMagic))
	if _, err := io.ReadFull(in, magic); err == nil && string(magic) == stashMagic {
		for j.size = int64(len(magic)); ; {
			at := len(batch) * snapshot.PageSize
			p, read, err := readRecord(in, slab[at:at:at+snapshot.PageSize])
			if err != nil {
				break
			}
			j.size += int64(read)
			if p.Index >= pages {
				continue
			}
			if batch = append(batch, p); len(batch) == maxRefs {
				if err := flush(); err != nil {
					return n, err
				}
			}
		}
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return n, err
		}
	}
	return n, j.start()
}

// start makes the file ready to be written from its size on.
func (j *Stash) start() error {
	if err := j.file.Truncate(j.size); err != nil {
		return fmt.Errorf("cut stash of a transfer: %w", err)
	}
	if _, err := j.file.Seek(j.size, io.SeekStart); err != nil {
		return fmt.Errorf("seek in stash of a transfer: %w", err)
	}
	j.w = bufio.NewWriterSize(j.file, 256<<10)
	if j.size == 0 {
		j.write([]byte(stashMagic))
	}
	return j.err
}

// readRecord reads one page into a buffer that is empty and has room for it.
func readRecord(in io.Reader, into []byte) (p snapshot.Page, read int, err error) {
	var head [stashRecord]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return p, 0, err
	}
	frame := make([]byte, binary.BigEndian.Uint16(head[4:]))
	if len(frame) > maxFrame {
		return p, 0, errFrame
	}
	if _, err := io.ReadFull(in, frame); err != nil {
		return p, 0, err
	}
	data, err := unpackPage(frame, into)
	if err != nil || len(data) != snapshot.PageSize {
		return p, 0, errors.Join(err, errFrame)
	}
	return snapshot.Page{Index: binary.BigEndian.Uint32(head[:]), Data: data}, len(head) + len(frame), nil
}

// add writes a page.
func (j *Stash) add(index uint32, frame []byte) {
	if j == nil || len(frame) > maxFrame || j.size > maxStash {
		return
	}
	var head [stashRecord]byte
	binary.BigEndian.PutUint32(head[:], index)
	binary.BigEndian.PutUint16(head[4:], uint16(len(frame)))
	j.write(head[:])
	j.write(frame)
}

func (j *Stash) write(b []byte) {
	if j.err != nil {
		return
	}
	n, err := j.w.Write(b)
	j.size += int64(n)
	j.err = err
}

func (j *Stash) flush() {
	if j != nil && j.err == nil {
		j.err = j.w.Flush()
	}
}

// Close closes the file, which stays for the next try. It returns why the
// stash could not be written, if so.
func (j *Stash) Close() error {
	j.flush()
	return errors.Join(j.err, j.file.Close())
}

// DropStash removes a stash, if there is one: the transfer has ended, or
// none is needed any more.
func DropStash(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stash of a transfer: %w", err)
	}
	return nil
}
