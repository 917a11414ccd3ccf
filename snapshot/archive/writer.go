package archive

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"lockstep/snapshot"
)

// Writer writes one file.
type Writer struct {
	to      io.Writer
	sum     *blake3.Hasher
	enc     *zstd.Encoder
	indexes []uint32
	pages   []byte
	last    int64 // index of the newest page; -1 before the first
}

// NewWriter writes the head of a file. The caller has checked that the module is
// the manifest's.
func NewWriter(to io.Writer, head Head) (*Writer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("start compression: %w", err)
	}
	w := &Writer{to: to, sum: blake3.New(), enc: enc, last: -1}
	manifest := head.Manifest.Encode()
	if len(manifest) > MaxManifest || len(head.Module) > MaxModule {
		return nil, fmt.Errorf("manifest has %d bytes and module %d, want at most %d and %d", len(manifest), len(head.Module), MaxManifest, MaxModule)
	}
	if err := w.write([]byte(Magic)); err != nil {
		return nil, err
	}
	for _, part := range [][]byte{manifest, head.Module} {
		if err := w.write(binary.BigEndian.AppendUint32(nil, uint32(len(part))), part); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *Writer) write(parts ...[]byte) error {
	for _, b := range parts {
		_, _ = w.sum.Write(b) // never fails
		if _, err := w.to.Write(b); err != nil {
			return fmt.Errorf("write checkpoint file: %w", err)
		}
	}
	return nil
}

// Page adds a page. Indexes ascend.
func (w *Writer) Page(p snapshot.Page) error {
	if int64(p.Index) <= w.last || len(p.Data) != snapshot.PageSize {
		return fmt.Errorf("page %d of %d bytes after page %d", p.Index, len(p.Data), w.last)
	}
	w.last = int64(p.Index)
	if snapshot.PageDigest(p.Data) == snapshot.ZeroPage {
		return nil
	}
	w.indexes, w.pages = append(w.indexes, p.Index), append(w.pages, p.Data...)
	if len(w.indexes) < framePages {
		return nil
	}
	return w.flush()
}

// flush writes a frame of the pages that were gathered.
func (w *Writer) flush() error {
	if len(w.indexes) == 0 {
		return nil
	}
	raw := make([]byte, 0, len(w.indexes)*4+len(w.pages))
	for _, i := range w.indexes {
		raw = binary.BigEndian.AppendUint32(raw, i)
	}
	packed := w.enc.EncodeAll(append(raw, w.pages...), nil)
	head := binary.BigEndian.AppendUint32(nil, uint32(len(w.indexes)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(packed)))
	w.indexes, w.pages = w.indexes[:0], w.pages[:0]
	return w.write(head, packed)
}

// Close ends the file. It does not close what it writes to.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.write(make([]byte, 4)); err != nil {
		return err
	}
	return w.write(w.sum.Sum(nil))
}
