package tidy

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

// anchors are the names under which a page's headings are linked to.
func anchors(text []byte) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllSubmatch(fence.ReplaceAll(text, nil), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(string(m[1])))
		found[name] = true
	}
	return found
}

// broken lists the links of the Markdown pages among files that lead nowhere.
// Links that leave the repository are not followed.
func broken(files []file) (complaints []string) {
	texts := make(map[string][]byte)
	for _, f := range files {
		for dir := f.path; dir != "."; dir = path.Dir(dir) {
			texts[dir] = nil
		}
	}
	for _, f := range files {
		texts[f.path] = f.text
	}
	for _, f := range files {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for _, m := range link.FindAllSubmatch(code.ReplaceAll(fence.ReplaceAll(f.text, nil), nil), -1) {
			target, anchor, anchored := strings.Cut(string(m[1]), "#")
			if strings.Contains(target, ":") {
				continue
			}
			to := f.path
			if target != "" {
				to = path.Join(path.Dir(f.path), target)
			}
			if text, there := texts[to]; !there {
				complaints = append(complaints, fmt.Sprintf("%s links to %s, which is not there", f.path, to))
			} else if anchored && !anchors(text)[anchor] {
				complaints = append(complaints, fmt.Sprintf("%s links to %s#%s: no such heading", f.path, to, anchor))
			}
		}
	}
	return complaints
}

func TestLinks(t *testing.T) {
	silent(t, broken(committed(t)))
	complains(t, broken([]file{
		{"README.md", []byte("[a](docs/a.md) [b](docs) [c](docs/a.md#why-a-b-and-c) [d](https://example.org/x) [e](docs/b.md)\n")},
		{"docs/a.md", []byte("# A\n\n## Why `a`, b and c?\n\n[up](../README.md) [here](#a) [no](#b) `[code](gone.md)`\n\n```\n[code](gone.md)\n# not a heading\n```\n[x](#not-a-heading)\n")},
	}),
		"README.md links to docs/b.md",
		"docs/a.md links to docs/a.md#b: no such heading",
		"docs/a.md#not-a-heading",
	)
}
