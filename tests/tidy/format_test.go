package tidy

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// magics begin every format; domains begin what is hashed.
	magics      = regexp.MustCompile(`"(LS[A-Za-z][0-9])"`)
	domains     = regexp.MustCompile(`"(lockstep [a-z ]+ v[0-9]+)(?:\\x00)?"`)
	definitions = regexp.MustCompile(`= "(LS[A-Za-z][0-9])"`)
	pagesMagics = regexp.MustCompile(`\b(LS[A-Za-z][0-9])\b`)
)

// undocumented lists the formats of the code that no page below docs/format names,
// those on the pages that the code does not have, and magics with two meanings.
func undocumented(files []file) (complaints []string) {
	var docs strings.Builder
	code := make(map[string]string) // where each was seen first
	defined := make(map[string]string)
	for _, f := range files {
		if within(f.path, "docs/format") {
			docs.Write(f.text)
		}
		if path.Ext(f.path) != ".go" || strings.HasSuffix(f.path, "_test.go") || within(f.path, "tests") {
			continue
		}
		for _, m := range definitions.FindAllStringSubmatch(string(f.text), -1) {
			if at, twice := defined[m[1]]; twice {
				complaints = append(complaints, fmt.Sprintf("%s and %s both define %s: bytes of one may be taken for the other", at, f.path, m[1]))
			}
			defined[m[1]] = f.path
		}
		for _, pattern := range []*regexp.Regexp{magics, domains} {
			for _, m := range pattern.FindAllStringSubmatch(string(f.text), -1) {
				if _, seen := code[m[1]]; !seen {
					code[m[1]] = f.path
				}
			}
		}
	}
	for name, at := range code {
		if !strings.Contains(docs.String(), name) {
			complaints = append(complaints, fmt.Sprintf("%s has %q, which no page below docs/format describes", at, name))
		}
	}
	for _, m := range pagesMagics.FindAllStringSubmatch(docs.String(), -1) {
		if _, there := code[m[1]]; !there {
			complaints = append(complaints, fmt.Sprintf("docs/format has %s, which is not in the code", m[1]))
		}
	}
	slices.Sort(complaints)
	return slices.Compact(complaints)
}

func TestFormatsAreDescribed(t *testing.T) {
	silent(t, undocumented(committed(t)))
	complains(t, undocumented([]file{
		{"docs/format/a.md", []byte("`LSA1` and `LSB1`, hashed with \"lockstep a v1\"\n")},
		{"audit/a.go", []byte("package audit\nconst a, c, d, e = \"LSA1\", \"LSC1\", \"lockstep a v1\\x00\", \"lockstep b v1\\x00\"\n")},
		{"audit/a_test.go", []byte("package audit\nconst z = \"LSZ1\"\n")},
		{"host/b.go", []byte("package host\nconst b = \"LSA1\"\nconst c = \"LSA1\"\n")},
	}), "audit/a.go and host/b.go both define LSA1", "host/b.go and host/b.go both define LSA1", `audit/a.go has "LSC1"`, `audit/a.go has "lockstep b v1"`, "docs/format has LSB1")
}
