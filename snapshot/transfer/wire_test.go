package transfer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/snapshot"
)

func replies() []reply {
	return []reply{
		{},
		{Error: "not here"},
		{Size: 1 << 40, Items: [][]byte{Pack([]byte("module"))}},
		{Items: [][]byte{nil, bytes.Repeat([]byte{7}, snapshot.NodeSize), {}, Pack(make([]byte, snapshot.PageSize))}},
	}
}

// Whatever decodes encodes to the same bytes, and nothing that is sent is more
// than an error.
func FuzzReply(f *testing.F) {
	for _, r := range replies() {
		f.Add(r.encode())
	}
	f.Add([]byte("LSX1\x80\x00\x00"))
	f.Add([]byte("LSX1\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReply(data)
		if err != nil {
			return
		}
		if got := r.encode(); !bytes.Equal(got, data) {
			t.Fatalf("%x decodes, and encodes to %x", data, got)
		}
		for _, item := range r.Items {
			page, err := unpack(item, make([]byte, 0, snapshot.PageSize), snapshot.PageSize)
			if err == nil && len(page) > snapshot.PageSize {
				t.Fatalf("a frame unpacks to %d bytes", len(page))
			}
			_, _ = snapshot.Merge(nil, item)
		}
	})
}

// Whatever a request holds, it is answered, and the answer decodes; one that decodes
// encodes to the same bytes.
func FuzzRequest(f *testing.F) {
	parts := []snapshot.Ref{{Level: 1}, {Level: 4, Index: 9}}
	for _, q := range []request{
		{Kind: kindManifest, Epoch: 1, Seq: 2},
		{Kind: kindParts, Parts: parts},
		{Kind: kindParts, Parts: parts, Have: make([]byte, 2*snapshot.SketchSize)},
		{Kind: kindParts, Parts: parts, Have: make([]byte, 7)},
		{Kind: kindBlob, Offset: 1 << 60},
		{Kind: kindRelease}, {Kind: 200},
	} {
		f.Add(q.encode())
	}
	s := &server{from: anything{}, budget: func() int { return 2048 }}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decodeReply(s.answer(data)); err != nil {
			t.Fatalf("%x is answered with what does not decode: %v", data, err)
		}
		if q, err := decodeRequest(data); err == nil && !bytes.Equal(q.encode(), data) {
			t.Fatalf("%x decodes, and encodes to %x", data, q.encode())
		}
	})
}

// A stash of any bytes gives pages or none, and can be written on.
func FuzzStash(f *testing.F) {
	page := bytes.Repeat([]byte{1, 2, 3, 4}, snapshot.PageSize/4)
	whole := append([]byte(stashMagic), 0, 0, 0, 3, 0, byte(len(Pack(page))))
	whole = append(whole, Pack(page)...)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte("LSt1\x00\x00\x00\x00\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "stash")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		count := func(list []snapshot.Page) error {
			for _, p := range list {
				if p.Index >= 8 || len(p.Data) != snapshot.PageSize {
					t.Fatalf("page %d of %d bytes", p.Index, len(p.Data))
				}
			}
			return nil
		}
		j, n, err := OpenStash(path, 8*snapshot.PageSize, count)
		if err != nil {
			t.Fatal(err)
		}
		j.add(5, Pack(page))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		again, m, err := OpenStash(path, 8*snapshot.PageSize, count)
		if err != nil || m != n+1 {
			t.Fatalf("%d pages, then %d with one more: %v", n, m, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// counted counts how often something long is read.
type counted struct {
	anything
	blob  []byte
	reads int
}

func (c *counted) Blob(audit.Digest) ([]byte, error) { c.reads++; return c.blob, nil }

// A blob of many parts is read once, not once for each; and it is not kept longer.
func TestLongIsReadOnce(t *testing.T) {
	from := &counted{blob: bytes.Repeat([]byte{1, 2, 3}, 1<<20)}
	s := &server{from: from, budget: (*Limit)(nil).budget}
	for fetch := range 2 {
		var got []byte
		for len(got) < len(from.blob) {
			r, err := decodeReply(s.answer(request{Kind: kindBlob, Offset: uint64(len(got))}.encode()))
			if err != nil || r.Error != "" || len(r.Items) != 1 {
				t.Fatal(r.Error, err)
			}
			part, err := unpack(r.Items[0], nil, blobBytes)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, from.blob) || from.reads != fetch+1 {
			t.Errorf("fetch %d: %d bytes, read %d times", fetch+1, len(got), from.reads)
		}
	}
	if s.long.whole != nil {
		t.Error("a blob is kept after its end was given")
	}
	// Parts of two, one after the other, are of each its own.
	for _, offset := range []uint64{0, 1 << 20, 1 << 63} {
		for d := range byte(2) {
			from.blob = bytes.Repeat([]byte{d}, 2<<20)
			r, err := decodeReply(s.answer(request{Kind: kindBlob, Blob: audit.Digest{d}, Offset: offset}.encode()))
			if err != nil {
				t.Fatal(err)
			}
			if part, err := unpack(r.Items[0], nil, blobBytes); err != nil || bytes.Count(part, []byte{d}) != len(part) {
				t.Errorf("a part of blob %d is of another: %v", d, err)
			}
		}
	}
}

// Frames that are bombs, lie about their size, or are several, are refused, and take
// no memory to speak of.
func TestHostileFrames(t *testing.T) {
	page := bytes.Repeat([]byte{9}, snapshot.PageSize)
	one := Pack(page)
	noise := make([]byte, snapshot.PageSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	raw := Pack(noise) // as it is
	bomb := Pack(make([]byte, 512<<10))
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, one...)
	lied := bytes.Clone(bomb)
	copy(lied[4:], one[4:7])                                                     // the header of a page before the blocks of half a mebibyte
	window := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x40, 0xf8, 0x00, 0x0f, 0x01, 0, 0} // a window of gigabytes, contents of 4,096 bytes
	for name, frame := range map[string][]byte{
		"bomb": bomb, "two": append(bytes.Clone(one), one...), "a page and a bomb": append(bytes.Clone(one), bomb...),
		"skippable": skippable, "lied": lied, "window": window, "cut": one[:len(one)-1], "empty": {}, "header": one[:5],
		"raw": raw, "raw, cut": raw[:len(raw)-1], "raw and a byte": append(bytes.Clone(raw), 1), "raw and a page": append(bytes.Clone(raw), one...),
	} {
		into := make([]byte, 0, snapshot.PageSize)
		var data []byte
		var err error
		took := testing.AllocsPerRun(1, func() { data, err = unpackPage(frame, into) })
		if err == nil && !bytes.Equal(data, page) && !bytes.Equal(data, noise) {
			t.Errorf("%s unpacks to %d bytes", name, len(data))
		}
		if slow, other := unpack(frame, make([]byte, 0, snapshot.PageSize), snapshot.PageSize); (err == nil) != (other == nil) || !bytes.Equal(data, slow) {
			t.Errorf("%s: %v, or %v where nothing is known of it", name, err, other)
		}
		if took > 1000 {
			t.Errorf("%s took %v allocations", name, took)
		}
	}
	if data, err := unpackPage(one, make([]byte, 0, snapshot.PageSize)); err != nil || !bytes.Equal(data, page) {
		t.Errorf("a page: %v", err)
	}
	if data, err := unpackPage(raw, nil); err != nil || &data[0] != &raw[len(asItIs)] {
		t.Errorf("a page that is not compressed is copied: %v", err)
	}
}

func TestRepliesComeBack(t *testing.T) {
	for i, r := range replies() {
		got, err := decodeReply(r.encode())
		if err != nil || got.Error != r.Error || got.Size != r.Size || len(got.Items) != len(r.Items) {
			t.Errorf("reply %d: %+v, %v", i, got, err)
		}
	}
	for cut := range len(replies()[3].encode()) {
		r, err := decodeReply(replies()[3].encode()[:cut])
		if err == nil && len(r.Items) >= 4 {
			t.Errorf("a reply cut at %d decodes whole", cut)
		}
	}
}

// vectorRequests and vectorReplies have each kind of message, and fields at their limits.
func vectorRequests() []request {
	node, page := snapshot.Ref{Level: 4, Digest: audit.Digest{0xaa}}, snapshot.Ref{Level: 0, Index: 1<<20 - 1, Digest: snapshot.ZeroPage}
	have := snapshot.Sketch(nil, bytes.Repeat([]byte{7, 8}, snapshot.NodeSize/2))
	return []request{
		{Kind: kindManifest, Epoch: 1, Seq: 16384, Holder: math.MaxUint64},
		{Kind: kindManifest, Epoch: math.MaxUint64, Seq: math.MaxUint64, Offset: blobBytes},
		{Kind: kindParts, Epoch: 1, Seq: 16384, Holder: 7, Parts: []snapshot.Ref{node}, Have: have},
		{Kind: kindParts, Epoch: 1, Seq: 16384, Holder: 7, Parts: []snapshot.Ref{node, page}},
		{Kind: kindBlob, Blob: audit.Digest{0xbb}, Offset: 1 << 40},
		{Kind: kindHold, Epoch: 1, Seq: 16384},
		{Kind: kindRelease, Epoch: 1, Seq: 16384, Holder: 7},
	}
}

func vectorReplies() []reply {
	node := bytes.Repeat([]byte{7, 8}, snapshot.NodeSize/2)
	other := bytes.Clone(node)
	copy(other[5*32:], bytes.Repeat([]byte{9}, 32))
	other[snapshot.NodeSize-32] ^= 1
	manifest := snapshot.Manifest{Machine: "kv", Epoch: 1, Seq: 16384, Size: 64 << 10, Pages: audit.Digest{0xaa}, Globals: []uint64{1, math.MaxUint64}, System: []byte{1}}.Encode()
	return []reply{
		{},
		{Error: "checkpoint at seq 16384: not in the store"},
		{Size: uint64(len(manifest)), Items: [][]byte{Pack(manifest)}},
		{Items: [][]byte{node, Pack(make([]byte, snapshot.PageSize)), nil}},
		{Items: [][]byte{snapshot.Differing(other, snapshot.Sketch(nil, node)), snapshot.Differing(node, snapshot.Sketch(nil, node))}},
		{Size: 1 << 40, Items: [][]byte{Pack([]byte("module"))}},
	}
}

// The vectors are for other implementations: hex of each message, and what it is. UPDATE=1 writes them. A zstd
// frame has several spellings: those here are to be read, and need not be what another compressor writes.
func TestVectors(t *testing.T) {
	const file = "testdata/messages.txt"
	var b strings.Builder
	for _, q := range vectorRequests() {
		fmt.Fprintf(&b, "request %x\n", q.encode())
	}
	for _, r := range vectorReplies() {
		fmt.Fprintf(&b, "reply %x\n", r.encode())
	}
	stash := []byte(stashMagic)
	for i, page := range [][]byte{bytes.Repeat([]byte{1}, snapshot.PageSize), make([]byte, snapshot.PageSize)} {
		frame := Pack(page)
		stash = binary.BigEndian.AppendUint32(stash, uint32(i)<<18)
		stash = append(binary.BigEndian.AppendUint16(stash, uint16(len(frame))), frame...)
	}
	fmt.Fprintf(&b, "stash %x\n", stash)
	if os.Getenv("UPDATE") != "" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(b.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("vectors differ from %s:\n%s", file, b.String())
	}
	for line := range strings.Lines(string(want)) {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		readVector(t, kind, data)
	}
}

// readVector wants a message to be read, and to re-encode to the same bytes.
func readVector(t *testing.T, kind string, data []byte) {
	t.Helper()
	switch kind {
	case "request":
		q, err := decodeRequest(data)
		if err != nil || !bytes.Equal(q.encode(), data) {
			t.Errorf("request %x: %v", data, err)
		}
	case "reply":
		r, err := decodeReply(data)
		if err != nil || !bytes.Equal(r.encode(), data) {
			t.Errorf("reply %x: %v", data, err)
		}
	case "stash":
		path := filepath.Join(t.TempDir(), "stash")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, n, err := OpenStash(path, 1<<32, func([]snapshot.Page) error { return nil })
		if err != nil || n != 2 {
			t.Fatalf("stash has %d pages, %v", n, err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("vector of a %q", kind)
	}
}
