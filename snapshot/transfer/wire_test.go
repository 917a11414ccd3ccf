package transfer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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

// Whatever a request holds, it is answered, and the answer decodes.
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
		f.Add(requestFormat.Encode(q))
	}
	s := server{from: anything{}, budget: 2048}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decodeReply(s.answer(data)); err != nil {
			t.Fatalf("%x is answered with what does not decode: %v", data, err)
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
