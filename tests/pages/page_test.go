package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestParse(t *testing.T) {
	blocks, err := parse("# A\n\n```sh terminals\na\nb\n```\ntext\n```go file=x/y.go\npackage x\n```\n```\nplain\n```\n")
	if err != nil || len(blocks) != 3 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	if b := blocks[0]; b.Language != "sh" || !b.has("terminals") || b.Text != "a\nb\n" || b.Line != 3 {
		t.Errorf("got %+v", b)
	}
	if b := blocks[1]; b.value("file=") != "x/y.go" || b.Text != "package x\n" {
		t.Errorf("got %+v", b)
	}
	for _, bad := range []string{"```sh\na\n", "```sh\n```go\n```\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestConsole(t *testing.T) {
	steps, err := console("$ a \\\n  b\nout\n> typed\nmore\n$ c\n")
	if err != nil || len(steps) != 2 {
		t.Fatalf("%+v, %v", steps, err)
	}
	if s := steps[0]; s.command != "a \\\n  b\n" || s.typed != "typed\n" || s.want != "out\nmore\n" {
		t.Errorf("got %+v", s)
	}
	if _, err := console("out\n$ a\n"); err == nil {
		t.Error("output before any command: no error")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a\n", true},
		{"a  b\n", "a\tb  \n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"a\n…\n", "a\nb\nc\n", true},
		{"a\n…\n", "a\n", true},
		{"…\nc\n", "a\nb\nc\n", true},
		{"…\nc\n", "a\nb\n", false},
		{"seq … is (.)\n", "seq 17 is (.)\n", true},
		{"seq … is (.)\n", "seq 17 is (x)\n", false},
		{"", "", true},
		{"", "a\n", false},
	} {
		if got := Match(c.want, c.got); got != c.ok {
			t.Errorf("Match(%q, %q) is %v", c.want, c.got, got)
		}
	}
}

// follow has a reader follow a page that is given as text.
func follow(t *testing.T, text string) (*Reader, error) {
	t.Helper()
	blocks, err := parse(strings.ReplaceAll(text, "'''", "```"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(t, Options{Root: "../.."})
	return r, r.follow(t, Page{"page.md", blocks})
}

// What a page does in one block holds in the next, and each kind of block is followed.
func TestFollow(t *testing.T) {
	r, err := follow(t, `
'''sh
mkdir sub
cd sub
export WORD=lock
'''
'''txt file=sub/a.txt
one
two
'''
'''sh terminals
bash -c 'echo $$ >pid; echo this is ready; sleep 600'
'''
'''console
$ echo "$WORD"; cat
> typed
lock
typed
$ test -s ../pid
'''
'''diff
--- a/a.txt
+++ b/a.txt
@@ -1,2 +1,2 @@
 one
-two
+three
'''
'''sh
cat a.txt
'''
'''output
one
three
'''
'''sh install
false
'''
'''sh elsewhere
false
'''
`)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(r.Dir, "sub", "a.txt")); err != nil || string(text) != "one\nthree\n" {
		t.Errorf("a.txt is %q, %v", text, err)
	}
}

// A page that claims what is not so is found out.
func TestFollowFindsWrongPages(t *testing.T) {
	for name, c := range map[string]struct{ page, want string }{
		"a command that fails":         {"'''sh\necho oh; false\n'''\n", "page.md:1: echo oh; false: fails\noh"},
		"a command in the middle":      {"'''sh\nfalse\ntrue\n'''\n", "fails"},
		"other output":                 {"'''sh\necho a\n'''\n'''output\nb\n'''\n", "page.md:4: "},
		"other output of a console":    {"'''console\n$ echo a\nb\n'''\n", "prints\na"},
		"a console command that fails": {"'''console\n$ false\n'''\n", "fails"},
		"a terminal that ends":         {"'''sh terminals\nfalse\n'''\n", "ended before it was ready"},
		"a text that is not there":     {"'''sh\necho a >b\n'''\n'''txt in=b\nc\n'''\n", "b has no such text"},
		"a diff of something else":     {"'''diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n'''\n", "fails"},
	} {
		if _, err := follow(t, c.page); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAdapt(t *testing.T) {
	r := &Reader{Port: 10000}
	for command, want := range map[string]string{
		"lockstep init cluster --use c":    "lockstep init cluster --port 10000 --use c",
		"curl 127.0.0.1:8223/metrics":      "curl 127.0.0.1:14001/metrics",
		"./lockstep node":                  "./lockstep node --listen 127.0.0.1:10000 --http 127.0.0.1:14000",
		"lockstep node -c c/n1/node.toml":  "lockstep node -c c/n1/node.toml",
		"go build -o bin/x ./cmd/lockstep": `(mkdir -p "$(dirname bin/x)"; rm -f bin/x; out=$PWD/bin/x; cd "$ROOT"; go build -o "$out" ./cmd/lockstep)`,
	} {
		if got := r.adapt(command); got != want {
			t.Errorf("%q is run as %q, want %q", command, got, want)
		}
	}
	if got := r.plain("at 10001 and 14000, 10004 not"); got != "at 4223 and 8222, 10004 not" {
		t.Errorf("got %q", got)
	}
}
