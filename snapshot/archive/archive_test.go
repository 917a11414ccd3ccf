package archive_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"lockstep/snapshot"
	"lockstep/snapshot/archive"
)

// state is a memory with pages that are filled and such that are not.
func state(seed uint64, wasmPages int) (archive.Head, []byte) {
	r := rand.New(rand.NewPCG(seed, 3))
	memory := make([]byte, wasmPages<<16)
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	var all []uint32
	for i := range uint32(len(memory) / snapshot.PageSize) {
		if r.IntN(3) > 0 {
			for at := range snapshot.PageSize {
				memory[int(i)*snapshot.PageSize+at] = byte(r.Uint32() >> (8 * (i % 4)))
			}
		}
		all = append(all, i)
	}
	tree.Update(memory, all)
	return archive.Head{
		Manifest: snapshot.Manifest{Machine: "m", Epoch: 1, Seq: 9, Size: uint64(len(memory)), Pages: tree.Root(), Globals: []uint64{1, 2}, System: []byte{3}},
		Module:   []byte("\x00asm, as far as this package knows"),
	}, memory
}

func write(t testing.TB, head archive.Head, memory []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, head)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(len(memory) / snapshot.PageSize) {
		if err := w.Page(snapshot.Page{Index: i, Data: memory[int(i)*snapshot.PageSize:][:snapshot.PageSize]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns the memory in a file.
func read(file []byte) (archive.Head, []byte, error) {
	r, err := archive.NewReader(bytes.NewReader(file))
	if err != nil {
		return archive.Head{}, nil, err
	}
	memory := make([]byte, r.Head().Manifest.Size)
	for {
		pages, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Head(), memory, nil
		}
		if err != nil {
			return archive.Head{}, nil, err
		}
		for _, p := range pages {
			copy(memory[int(p.Index)*snapshot.PageSize:], p.Data)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, wasmPages := range []int{0, 1, 16, 17, 70} {
		head, memory := state(uint64(wasmPages), wasmPages)
		file := write(t, head, memory)
		got, restored, err := read(file)
		if err != nil || got.Manifest.Root() != head.Manifest.Root() || !bytes.Equal(got.Module, head.Module) || !bytes.Equal(restored, memory) {
			t.Errorf("%d Wasm pages: %v, or another state", wasmPages, err)
		}
		if _, tree, err := archive.Verify(bytes.NewReader(file)); err != nil || tree.Digest(snapshot.Levels, 0) != head.Manifest.Pages {
			t.Errorf("%d Wasm pages: verify: %v", wasmPages, err)
		}
	}
}

// No byte of a file can change, and nothing be cut or added, unnoticed.
func TestChangedFilesAreRefused(t *testing.T) {
	head, memory := state(1, 1)
	file := write(t, head, memory)
	for at := 0; at < len(file); at++ {
		if at > 400 && at < len(file)-100 {
			at += 36 // all of the frame there is alike
		}
		changed := bytes.Clone(file)
		changed[at] ^= 1 << (at % 8)
		if _, _, err := read(changed); err == nil {
			t.Fatalf("byte %d of %d changed, and the file is taken", at, len(file))
		}
	}
	for _, n := range []int{0, 3, 4, 20, len(file) / 2, len(file) - 33, len(file) - 1} {
		if _, _, err := read(file[:n]); !errors.Is(err, archive.ErrCut) && !errors.Is(err, archive.ErrFormat) {
			t.Errorf("cut to %d bytes: %v, want ErrCut", n, err)
		}
	}
	if _, _, err := read(append(bytes.Clone(file), 0)); !errors.Is(err, archive.ErrFormat) {
		t.Errorf("a byte more: %v", err)
	}
	// Whole in itself, but with the pages of another state.
	_, other := state(2, 1)
	if _, _, err := read(write(t, head, other)); !errors.Is(err, archive.ErrRoot) {
		t.Errorf("other pages: %v, want ErrRoot", err)
	}
}

func TestWriterRefusesDisorder(t *testing.T) {
	head, memory := state(1, 1)
	w, err := archive.NewWriter(io.Discard, head)
	if err != nil {
		t.Fatal(err)
	}
	page := snapshot.Page{Index: 4, Data: memory[:snapshot.PageSize]}
	if err := w.Page(page); err != nil {
		t.Error(err)
	}
	if err := w.Page(page); err == nil {
		t.Error("the same page was taken twice")
	}
	if err := w.Page(snapshot.Page{Index: 5, Data: memory[:9]}); err == nil {
		t.Error("a short page was taken")
	}
}

// A file is read with memory for what is in it, and never fails but with an error.
func FuzzRead(f *testing.F) {
	head, memory := state(1, 1)
	f.Add(write(f, head, memory))
	head, memory = state(0, 0)
	f.Add(write(f, head, memory))
	f.Add([]byte(archive.Magic + "\x07\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, tree, err := archive.Verify(bytes.NewReader(file))
		if err != nil {
			return
		}
		if tree.Digest(snapshot.Levels, 0) != h.Manifest.Pages {
			t.Error("a file whose pages are not the manifest's is taken")
		}
		if _, memory, err := read(file); err != nil {
			t.Errorf("read after verify: %v", err)
		} else if _, again, err := read(write(t, h, memory)); err != nil || !bytes.Equal(again, memory) {
			t.Errorf("written anew: %v, or another memory", err)
		}
	})
}

// The vector is for those who write another implementation. UPDATE=1 writes it
// anew.
func TestVector(t *testing.T) {
	memory := make([]byte, 1<<16)
	for i := range 16 {
		if i != 3 { // a page of zeros
			copy(memory[i*snapshot.PageSize:], fmt.Sprintf("page %d", i))
		}
	}
	tree := snapshot.NewTree()
	tree.Resize(len(memory))
	for i := range uint32(16) {
		tree.Set(i, snapshot.PageDigest(memory[i*snapshot.PageSize:][:snapshot.PageSize]))
	}
	head := archive.Head{Module: []byte("\x00asm\x01\x00\x00\x00"), Manifest: snapshot.Manifest{
		Machine: "kv", Epoch: 1, Seq: 7, Size: uint64(len(memory)), Pages: tree.Root(), Globals: []uint64{3, 4}, System: []byte{5}}}
	const path = "testdata/checkpoint.txt"
	if os.Getenv("UPDATE") != "" {
		text := fmt.Sprintf("# An exported checkpoint in hexadecimal, and the root of its state. Page i of 16 begins with \"page i\", page 3 is zeros.\n%s\nroot %s\n",
			hex.EncodeToString(write(t, head, memory)), head.Manifest.Root().Hex())
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	file, err := hex.DecodeString(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	got, restored, err := read(file)
	if err != nil || !bytes.Equal(restored, memory) || !bytes.Equal(got.Module, head.Module) || got.Manifest.Root() != head.Manifest.Root() {
		t.Errorf("the vector is read as %+v, %v", got, err)
	}
	root := got.Manifest.Root()
	if want := "root " + root.Hex(); lines[2] != want {
		t.Errorf("the vector says %q, want %q", lines[2], want)
	}
}
