package archive_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"lockstep/snapshot"
	"lockstep/snapshot/archive"
)

// crafted is a file that no Writer makes, whole in itself.
type crafted struct {
	t    *testing.T
	file []byte
}

func craft(t *testing.T, magic string, head archive.Head) *crafted {
	c := &crafted{t: t, file: []byte(magic)}
	c.part(head.Manifest.Encode())
	c.part(head.Module)
	return c
}

func (c *crafted) number(n int) { c.file = binary.BigEndian.AppendUint32(c.file, uint32(n)) }

func (c *crafted) part(b []byte) {
	c.number(len(b))
	c.file = append(c.file, b...)
}

// frame adds pages that are called by other indexes, and bytes after them.
func (c *crafted) frame(memory []byte, indexes []uint32, more ...byte) {
	var raw []byte
	for _, i := range indexes {
		raw = binary.BigEndian.AppendUint32(raw, i)
	}
	for _, i := range indexes {
		at := int(i) * snapshot.PageSize % len(memory)
		raw = append(raw, memory[at:at+snapshot.PageSize]...)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.number(len(indexes))
	c.part(enc.EncodeAll(append(raw, more...), nil))
}

func (c *crafted) close() []byte {
	c.number(0)
	sum := blake3.Sum256(c.file)
	return append(c.file, sum[:]...)
}

// A file whose closing digest is right is believed no more than that.
func TestCraftedFilesAreRefused(t *testing.T) {
	const pages = 272 // more than a frame has
	memory := make([]byte, pages*snapshot.PageSize)
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	var held []uint32
	for i := range uint32(pages) {
		if i == 5 { // zero, and left out
			continue
		}
		page := memory[int(i)*snapshot.PageSize:][:snapshot.PageSize]
		binary.BigEndian.PutUint32(page, i+1)
		tree.Set(i, snapshot.PageDigest(page))
		held = append(held, i)
	}
	tree.Set(5, snapshot.ZeroPage)
	head := archive.Head{Manifest: snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(len(memory)), Pages: tree.Root()}}
	first, rest := held[:200], held[200:]
	for name, tc := range map[string]struct {
		magic string
		add   func(c *crafted)
		want  error
	}{
		"nothing is wrong": {archive.Magic, func(c *crafted) { c.frame(memory, first); c.frame(memory, rest) }, nil},
		"another version":  {"LSE0", func(c *crafted) { c.frame(memory, first); c.frame(memory, rest) }, archive.ErrFormat},
		"a page twice":     {archive.Magic, func(c *crafted) { c.frame(memory, first); c.frame(memory, held[199:]) }, archive.ErrFormat},
		"frames in disorder": {archive.Magic, func(c *crafted) {
			c.frame(memory, rest)
			c.frame(memory, first)
		}, archive.ErrFormat},
		"a page past the end": {archive.Magic, func(c *crafted) {
			c.frame(memory, first)
			c.frame(memory, append(rest[:len(rest):len(rest)], 2*pages))
		}, archive.ErrFormat},
		"a page of zeros": {archive.Magic, func(c *crafted) {
			c.frame(memory, []uint32{0, 1, 2, 3, 4, 5})
			c.frame(memory, held[5:200])
			c.frame(memory, rest)
		}, archive.ErrFormat},
		"a frame too large":   {archive.Magic, func(c *crafted) { c.frame(memory, held) }, archive.ErrFormat},
		"bytes after a frame": {archive.Magic, func(c *crafted) { c.frame(memory, first, 0); c.frame(memory, rest) }, archive.ErrFormat},
		"a part too long":     {archive.Magic, func(c *crafted) { c.number(1); c.number(1 << 30) }, archive.ErrFormat},
		"a page is missing":   {archive.Magic, func(c *crafted) { c.frame(memory, first); c.frame(memory, rest[1:]) }, archive.ErrRoot},
	} {
		t.Run(name, func(t *testing.T) {
			c := craft(t, tc.magic, head)
			tc.add(c)
			if _, _, err := read(c.close()); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}
