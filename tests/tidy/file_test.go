package tidy

import (
	"bytes"
	"fmt"
	"go/format"
	"path"
	"regexp"
	"strings"
	"testing"
)

const (
	wall       = 700     // lines of a Go file
	readmeWall = 150     // lines of README.md
	sizeWall   = 8 << 20 // bytes of any file: git keeps each version for ever
)

// forbidden are words that do not belong into a committed file.
var forbidden = []struct {
	word *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`(?:^|[\s"'(=:` + "`" + `])/(?:work|home|Users)/\w+`), "a path of one machine means nothing on another"},
	{regexp.MustCompile(`proxy\.golang\.org|sum\.golang\.org|registry\.npmjs\.org|pypi\.org/simple|index\.crates\.io|deb\.debian\.org`), "where packages come from is for the machine's settings to say"},
	{regexp.MustCompile(`(?m)\b(?:TODO|FIXME|XXX)\b\W*$`), "what is left to do is said in words, with its reason"},
	{regexp.MustCompile(`<{7} |>{7} |(?m)^={7}$`), "a conflict was committed"},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\bS[UNAOCX][A-Z2-7]{56}\b`), "a secret was committed"},
}

func badFile(f file) (complaints []string) {
	say := func(format string, args ...any) {
		complaints = append(complaints, f.path+": "+fmt.Sprintf(format, args...))
	}
	if len(f.text) > sizeWall {
		say("%d bytes, at most %d", len(f.text), sizeWall)
	}
	if f.binary() {
		return complaints
	}
	lines := bytes.Count(f.text, []byte("\n"))
	if path.Ext(f.path) == ".go" {
		if lines > wall {
			say("%d lines, at most %d: one concept a file", lines, wall)
		}
		if formatted, err := format.Source(f.text); err == nil && !bytes.Equal(formatted, f.text) {
			say("is not formatted by gofmt")
		}
	}
	if f.path == "README.md" && lines > readmeWall {
		say("%d lines, at most %d: the rest belongs into docs", lines, readmeWall)
	}
	if len(f.text) > 0 && f.text[len(f.text)-1] != '\n' {
		say("does not end its last line")
	}
	for _, w := range forbidden {
		if at := w.word.FindIndex(f.text); at != nil {
			say("line %d has %q: %s", 1+bytes.Count(f.text[:at[0]], []byte("\n")), bytes.TrimSpace(f.text[at[0]:at[1]]), w.why)
		}
	}
	return complaints
}

// topLevel are the folders at the root: the tree is the architecture.
var topLevel = map[string]bool{
	".ci": true, "audit": true, "client": true, "cmd": true, "docs": true, "guests": true, "host": true,
	"ordering": true, "snapshot": true, "tests": true, "wasmabi": true,
}

func newFolder(f file) (complaints []string) {
	if top, _, nested := strings.Cut(f.path, "/"); nested && !topLevel[top] {
		complaints = append(complaints, fmt.Sprintf("%s: %s is a new folder at the top: add it to DESIGN.md section 3 and to the table", f.path, top))
	}
	return complaints
}

func TestFiles(t *testing.T) {
	for _, f := range committed(t) {
		silent(t, newFolder(f))
		if !within(f.path, "tests/tidy") { // the examples below
			silent(t, badFile(f))
		}
	}
	for _, bad := range []struct {
		path, text string
		want       []string
	}{
		{"a.go", "package a\n", nil},
		{"a.go", "package a\n" + strings.Repeat("\n// a line\n", 400), []string{"801 lines, at most 700"}},
		{"a.go", "package a\nvar  x = 1\n", []string{"gofmt"}},
		{"a.wasm", "\x00asm" + strings.Repeat("x", 8<<20), []string{"bytes, at most"}},
		{"a.wasm", "\x00asm /work/main", nil},
		{"README.md", strings.Repeat("line\n", 151), []string{"151 lines, at most 150"}},
		{"docs/a.md", strings.Repeat("line\n", 151), nil},
		{"a.md", "no end", []string{"last line"}},
		{"a.md", "one\nsee `/work/main/x`\n", []string{`line 2 has "` + "`" + `/work/main"`}},
		{"a.md", "the network/work/flow\n", nil},
		{"a.sh", "GOPROXY=https://proxy.golang.org\n", []string{"where packages come from"}},
		{"a.go", "package a\n\n// TODO\n", []string{"what is left"}},
		{"a.go", "package a\n\n// TODO: batch, once the log can say when.\n", nil},
		{"a.md", "<<<<<<< HEAD\n", []string{"a conflict"}},
		{"a.txt", "S" + "UACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n", []string{"a secret"}},
	} {
		complains(t, badFile(file{bad.path, []byte(bad.text)}), bad.want...)
	}
	complains(t, newFolder(file{"util/a.go", nil}), "util is a new folder")
	complains(t, newFolder(file{"Makefile", nil}))
}
