package description

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const minimal = `{"version": 1, "name": "counter", "apply": {"add": {"args": [{"name": "n", "type": "int"}], "returns": "int"}}}`

func TestAppendAndRead(t *testing.T) {
	module := []byte("\x00asm\x01\x00\x00\x00\x00\x05\x04name")
	if _, err := Read(module); !errors.Is(err, ErrNone) {
		t.Errorf("module without a description: %v", err)
	}
	with, err := Append(module, []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	in, err := Read(with)
	if err != nil || in.Name != "counter" || in.Apply["add"].Args[0].Type != "int" {
		t.Errorf("got %+v, %v", in, err)
	}
	if _, err := Append(with, []byte(minimal)); err == nil {
		t.Error("a second description was appended")
	}
	for text, want := range map[string]string{
		`{`: "parse", `{"version": 2}`: "version 2", `{"version": 1, "nome": ""}`: "unknown field",
		`{"version": 1, "name": "` + strings.Repeat("x", maxSection) + `"}`: "at most",
	} {
		if _, err := Append(module, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
	for _, bad := range []string{"", "text", "\x00asm\x01\x00\x00\x00\x00\x7f", "\x00asm\x01\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff"} {
		if _, err := Read([]byte(bad)); err == nil || errors.Is(err, ErrNone) {
			t.Errorf("%q: got %v, want an error", bad, err)
		}
	}
}

// The vectors are of RFC 8949, appendix A.
func TestJSON(t *testing.T) {
	for _, tc := range []struct{ json, cbor string }{
		{`0`, "00"}, {`23`, "17"}, {`24`, "1818"}, {`100`, "1864"}, {`1000`, "1903e8"}, {`1000000`, "1a000f4240"},
		{`1000000000000`, "1b000000e8d4a51000"}, {`-1`, "20"}, {`-100`, "3863"}, {`-1000`, "3903e7"},
		{`9223372036854775807`, "1b7fffffffffffffff"}, {`-9223372036854775808`, "3b7fffffffffffffff"},
		{`{"hex":"01020304"}`, "4401020304"}, {`{"hex":""}`, "40"}, {`""`, "60"}, {`"IETF"`, "6449455446"}, {`"水"`, "63e6b0b4"},
		{`[]`, "80"}, {`[1,[2,3],[4,5]]`, "8301820203820405"}, {`[false,true,null]`, "83f4f5f6"}, {`"<&>"`, "633c263e"},
	} {
		got, err := FromJSON([]byte(tc.json))
		if err != nil || hex.EncodeToString(got) != tc.cbor {
			t.Errorf("%s: got %x, %v; want %s", tc.json, got, err, tc.cbor)
		}
		back, err := ToJSON(got)
		if err != nil || string(back) != tc.json {
			t.Errorf("%s: got %s, %v; want %s", tc.cbor, back, err, tc.json)
		}
	}
	for _, bad := range []string{``, `1 2`, `1.5`, `9223372036854775808`, `{}`, `{"hex":"0"}`, `{"hex":"00","a":1}`, `{"a":1}`, strings.Repeat("[", 100) + strings.Repeat("]", 100)} {
		if _, err := FromJSON([]byte(bad)); err == nil {
			t.Errorf("%.20s: no error", bad)
		}
	}
	for _, bad := range []string{"", "1817", "190017", "1b00000000ffffffff", "1b8000000000000000", "61ff", "82", "8201", "f7", "a0", "c000", "5f4101ff", "0000", "1c"} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ToJSON(b); err == nil {
			t.Errorf("%s: got %s, want an error", bad, got)
		}
	}
}

func FuzzToJSON(f *testing.F) {
	f.Add([]byte{0x83, 0xf4, 0x61, 'a', 0x41, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := ToJSON(b)
		if err != nil {
			return
		}
		if back, err := FromJSON(text); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x: as JSON %s, and back %x, %v", b, text, back, err)
		}
	})
}
