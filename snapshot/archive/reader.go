package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/snapshot"
)

// Reader reads one file and checks it. What Next gives is proven only once it
// has returned io.EOF.
type Reader struct {
	from io.Reader
	sum  *blake3.Hasher
	dec  *zstd.Decoder
	head Head
	tree *snapshot.Tree
	next uint32 // lowest index that may come
	raw  []byte
}

// NewReader reads the head of a file.
func NewReader(from io.Reader) (*Reader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(frameBytes), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("start decompression: %w", err)
	}
	r := &Reader{from: from, sum: blake3.New(), dec: dec, tree: snapshot.NewTree()}
	if err := r.readHead(); err != nil {
		dec.Close()
		return nil, err
	}
	return r, nil
}

// Head is the manifest and the module. That the module is the manifest's is the
// caller's to check, who knows the system state.
func (r *Reader) Head() Head { return r.head }

// Tree is the tree over the pages, whole once Next has returned io.EOF.
func (r *Reader) Tree() *snapshot.TreeView { return r.tree.View() }

func (r *Reader) readHead() error {
	magic := make([]byte, len(Magic))
	if err := r.fill(magic); err != nil || string(magic) != Magic {
		return ErrFormat
	}
	manifest, err := r.part(MaxManifest)
	if err != nil {
		return err
	}
	if r.head.Manifest, err = snapshot.DecodeManifest(manifest); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if r.head.Module, err = r.part(MaxModule); err != nil {
		return err
	}
	r.tree.Resize(int(r.head.Manifest.Size))
	return nil
}

// fill reads bytes that are under the closing digest.
func (r *Reader) fill(b []byte) error {
	if _, err := io.ReadFull(r.from, b); err != nil {
		return cut(err)
	}
	_, _ = r.sum.Write(b) // never fails
	return nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return fmt.Errorf("read checkpoint file: %w", err)
}

func (r *Reader) number() (uint32, error) {
	var b [4]byte
	err := r.fill(b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

// part reads a length and so many bytes, taking memory only for what comes.
func (r *Reader) part(limit uint32) ([]byte, error) {
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: part of %d bytes, want at most %d", ErrFormat, n, limit)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(io.MultiWriter(&b, r.sum), r.from, int64(n)); err != nil {
		return nil, cut(err)
	}
	return b.Bytes(), nil
}

// Next returns some of the pages, ascending, valid until the next call. It
// returns io.EOF when there are no more, nothing follows, the closing digest is
// right, and the pages are those under the manifest's root.
func (r *Reader) Next() ([]snapshot.Page, error) {
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, r.end()
	}
	if n > framePages {
		return nil, fmt.Errorf("%w: frame of %d pages, want at most %d", ErrFormat, n, framePages)
	}
	packed, err := r.part(maxPacked)
	if err != nil {
		return nil, err
	}
	if r.raw, err = r.dec.DecodeAll(packed, r.raw[:0]); err != nil {
		return nil, fmt.Errorf("%w: frame does not decompress: %w", ErrFormat, err)
	}
	if len(r.raw) != int(n)*(4+snapshot.PageSize) {
		return nil, fmt.Errorf("%w: frame of %d pages has %d bytes", ErrFormat, n, len(r.raw))
	}
	pages := make([]snapshot.Page, n)
	for i := range pages {
		p := snapshot.Page{Index: binary.BigEndian.Uint32(r.raw[4*i:]), Data: r.raw[4*int(n)+i*snapshot.PageSize:][:snapshot.PageSize]}
		if err := r.take(p); err != nil {
			return nil, err
		}
		pages[i] = p
	}
	return pages, nil
}

// take enters a page into the tree, and zeros for those that were left out.
func (r *Reader) take(p snapshot.Page) error {
	if p.Index < r.next || p.Index >= r.tree.Pages() {
		return fmt.Errorf("%w: page %d out of order in a memory of %d", ErrFormat, p.Index, r.tree.Pages())
	}
	digest := snapshot.PageDigest(p.Data)
	if digest == snapshot.ZeroPage {
		return fmt.Errorf("%w: page %d of zeros is not left out", ErrFormat, p.Index)
	}
	r.zeros(p.Index)
	r.tree.Set(p.Index, digest)
	r.next = p.Index + 1
	return nil
}

func (r *Reader) zeros(to uint32) {
	for ; r.next < to; r.next++ {
		r.tree.Set(r.next, snapshot.ZeroPage)
	}
}

func (r *Reader) end() error {
	var want, got audit.Digest
	r.sum.Sum(got[:0])
	if _, err := io.ReadFull(r.from, want[:]); err != nil {
		return cut(err)
	}
	if want != got {
		return ErrDigest
	}
	if n, err := io.ReadFull(r.from, make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: bytes follow its end", ErrFormat)
	} else if !errors.Is(err, io.EOF) {
		return cut(err)
	}
	r.zeros(r.tree.Pages())
	if r.tree.Root() != r.head.Manifest.Pages {
		return ErrRoot
	}
	r.dec.Close()
	return io.EOF
}

// Verify reads a whole file, and returns its head and its tree. An error says
// that the file is not to be used.
func Verify(from io.Reader) (Head, *snapshot.TreeView, error) {
	r, err := NewReader(from)
	if err != nil {
		return Head{}, nil, err
	}
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return r.head, r.Tree(), nil
		} else if err != nil {
			return Head{}, nil, err
		}
	}
}
