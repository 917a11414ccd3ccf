package bundle

import (
	"bytes"
	"strings"
	"testing"
)

// engine is a module with two globals, of which the second is the scripts'
// address, 70,000, and one data segment.
var engine = []byte("\x00asm\x01\x00\x00\x00" +
	"\x05\x03\x01\x00\x12" + // 18 pages of memory
	"\x06\x0e\x02\x7f\x01\x41\x80\x08\x0b\x7f\x00\x41\xf0\xa2\x04\x0b" +
	"\x07\x16\x02\x06memory\x02\x00\x09ls_script\x03\x01" +
	"\x0b\x07\x01\x00\x41\x10\x0b\x01x")

func TestModule(t *testing.T) {
	got, err := Module(engine, []byte("register({});"))
	if err != nil {
		t.Fatal(err)
	}
	data := len(engine) - 9
	if !bytes.Equal(got[:data], engine[:data]) {
		t.Errorf("what is before the data changed: %x", got[:data])
	}
	sections, err := split(got)
	if err != nil {
		t.Fatal(err)
	}
	segments := string(sections[len(sections)-1].body)
	if !strings.HasPrefix(segments, "\x02\x00\x41\x10\x0b\x01x\x00\x41\xf0\xa2\x04\x0b") || !strings.HasSuffix(segments, "\x00register({});\x00") {
		t.Errorf("data section is %.20x…%.20q", segments, segments[len(segments)-20:])
	}
	again, err := Module(engine, []byte("register({});"))
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("the same script gave other bytes, %v", err)
	}
}

func TestModuleRefuses(t *testing.T) {
	for script, want := range map[string]string{
		"": "empty", " \n": "empty", "a\x00b": "zero byte", "\xff": "UTF-8", strings.Repeat("x", MaxScript): "at most",
	} {
		if _, err := Module(engine, []byte(script)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("script of %d bytes: got %v, want %q", len(script), err, want)
		}
	}
	for name, module := range map[string][]byte{
		"nothing": nil, "text": []byte("text"), "no sections": engine[:8], "cut short": engine[:len(engine)-1],
		"another export": bytes.Replace(engine, []byte("ls_script"), []byte("ls_scripx"), 1),
		"no such global": bytes.Replace(engine, []byte("ls_script\x03\x01"), []byte("ls_script\x03\x02"), 1),
		"a function":     bytes.Replace(engine, []byte("ls_script\x03\x01"), []byte("ls_script\x00\x01"), 1),
	} {
		if _, err := Module(module, []byte("x")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzModule(f *testing.F) {
	f.Add(engine)
	f.Fuzz(func(t *testing.T, module []byte) {
		out, err := Module(module, []byte("x"))
		if err == nil && len(out) <= len(module) {
			t.Errorf("%x became %x", module, out)
		}
	})
}

func TestSigned(t *testing.T) {
	for _, v := range []int32{0, 1, 63, 64, -1, -64, -65, 70_000, 1<<31 - 1, -1 << 31} {
		b := appendSigned(nil, v)
		if got, size := signed(append(b, 0x7f)); got != v || size != len(b) {
			t.Errorf("%d: wrote %x, read %d of %d bytes", v, b, got, size)
		}
	}
}
