package kv

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	long := strings.Repeat("k", 300)
	for _, tc := range []struct {
		name string
		b    []byte
		want Request
	}{
		{"put", Put("a", []byte("xyz")), Request{OpPut, []byte("a"), []byte("xyz")}},
		{"put nothing", Put("", nil), Request{OpPut, nil, nil}},
		{"get", Get(long), Request{OpGet, []byte(long), nil}},
		{"delete", Delete("a"), Request{OpDelete, []byte("a"), nil}},
		{"add", Add("n", -2), Request{OpAdd, []byte("n"), []byte{255, 255, 255, 255, 255, 255, 255, 254}}},
		{"count", Count(), Request{OpCount, nil, nil}},
	} {
		got, err := DecodeRequest(tc.b)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got.Op != tc.want.Op || !bytes.Equal(got.Key, tc.want.Key) || !bytes.Equal(got.Rest, tc.want.Rest) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, errShort},
		{"no key length", []byte{1}, errShort},
		{"key cut", []byte{1, 5, 'a'}, errKey},
		{"length cut", []byte{1, 0x80}, errKey},
		{"length of leading zeros", []byte{1, 0x80, 0, 'a'}, errKey},
		{"length over 64 bits", append([]byte{1}, bytes.Repeat([]byte{255}, 11)...), errKey},
		{"key too long", Put(strings.Repeat("k", MaxKey+1), nil), errLarge},
		{"value too long", Put("k", make([]byte, MaxValue+1)), errLarge},
	} {
		if _, err := DecodeRequest(tc.b); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(Put("key", []byte("value")))
	f.Add([]byte{1, 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		if got := encode(r.Op, string(r.Key), r.Rest); !bytes.Equal(got, b) {
			t.Errorf("decoded %x encodes to %x", b, got)
		}
	})
}

func TestAnswers(t *testing.T) {
	if v, ok, err := DecodeGet([]byte{1, 'x'}); string(v) != "x" || !ok || err != nil {
		t.Errorf("get: %q %v %v", v, ok, err)
	}
	if _, ok, err := DecodeGet([]byte{0}); ok || err != nil {
		t.Errorf("get of nothing: %v %v", ok, err)
	}
	if existed, err := DecodeDelete([]byte{1}); !existed || err != nil {
		t.Errorf("delete: %v %v", existed, err)
	}
	if n, err := DecodeNumber([]byte{255, 255, 255, 255, 255, 255, 255, 255}); n != -1 || err != nil {
		t.Errorf("number: %d %v", n, err)
	}
	for _, bad := range [][]byte{nil, {2}, {0, 1}} {
		if _, _, err := DecodeGet(bad); err == nil {
			t.Errorf("get of answer %x: no error", bad)
		}
		if _, err := DecodeDelete(append(bad, 7)); err == nil {
			t.Errorf("delete of answer %x: no error", bad)
		}
		if _, err := DecodeNumber(bad); err == nil {
			t.Errorf("number of answer %x: no error", bad)
		}
	}
}

func TestStoreSaveLoad(t *testing.T) {
	var a, b Store
	for _, k := range []string{"b", "", "a", strings.Repeat("z", MaxKey)} {
		a.Put([]byte(k), []byte("value of "+k))
	}
	a.Put([]byte("gone"), nil)
	if !a.Delete([]byte("gone")) || a.Delete([]byte("gone")) {
		t.Error("delete does not tell whether there was a value")
	}
	var saved, again bytes.Buffer
	if err := a.Save(&saved); err != nil {
		t.Fatal(err)
	}
	b.Put([]byte("old"), nil)
	if err := b.Load(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Get([]byte("old")); ok || b.Len() != a.Len() {
		t.Errorf("loaded store has %d keys, want %d", b.Len(), a.Len())
	}
	if err := b.Save(&again); err != nil || !bytes.Equal(saved.Bytes(), again.Bytes()) {
		t.Errorf("saved twice: %q and %q, %v", saved.Bytes(), again.Bytes(), err)
	}
}

func TestStoreLoadRefuses(t *testing.T) {
	for _, tc := range []struct{ saved, want string }{
		{"", "no magic"},
		{"KVS2", "no magic"},
		{"KVS1\x01a", "unexpected EOF"},
		{"KVS1\x02a", "unexpected EOF"},
		{"KVS1\x01b\x00\x01a\x00", "out of order"},
		{"KVS1\x01a\x00\x01a\x00", "out of order"},
		{"KVS1\x81\x08", "over the limit"},
	} {
		s := Store{}
		s.Put([]byte("kept"), nil)
		if err := s.Load(strings.NewReader(tc.saved)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("load %q: got %v, want %q", tc.saved, err, tc.want)
		}
		if s.Len() != 1 {
			t.Errorf("load %q changed the store", tc.saved)
		}
	}
}

func FuzzStoreLoad(f *testing.F) {
	f.Add([]byte("KVS1\x01a\x01x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Store
		if s.Load(bytes.NewReader(b)) != nil {
			return
		}
		var saved bytes.Buffer
		if err := s.Save(&saved); err != nil || saved.Len() > len(b) {
			t.Errorf("loaded %q saves to %q, %v", b, saved.Bytes(), err)
		}
	})
}
