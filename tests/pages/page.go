package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Page is a Markdown page.
type Page struct {
	Path   string
	Blocks []Block
}

// Block is one fenced block of a page.
type Block struct {
	Line     int    // of its fence, from 1
	Language string // the first word of the info string
	Words    []string
	Text     string
}

// Read reads a page of the tree; path is below its root.
func Read(root, path string) (Page, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		return Page{}, err
	}
	blocks, err := parse(string(text))
	if err != nil {
		return Page{}, fmt.Errorf("%s: %w", path, err)
	}
	return Page{path, blocks}, nil
}

func parse(text string) (blocks []Block, err error) {
	var open *Block
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			words := strings.Fields(info)
			open = &Block{Line: i + 1}
			if len(words) > 0 {
				open.Language, open.Words = words[0], words[1:]
			}
		case fence:
			if info != "" {
				return nil, fmt.Errorf("line %d: a block begins within the block of line %d", i+1, open.Line)
			}
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block does not end", open.Line)
	}
	return blocks, nil
}

// Block is the page's first block of a language with this text in it.
func (p Page) Block(language, with string) (Block, error) {
	i := slices.IndexFunc(p.Blocks, func(b Block) bool { return b.Language == language && strings.Contains(b.Text, with) })
	if i < 0 {
		return Block{}, fmt.Errorf("%s has no block of %s with %q", p.Path, language, with)
	}
	return p.Blocks[i], nil
}

// Only is the page with nothing but the first such block, and what it is said to print.
func (p Page) Only(language, with string) (Page, error) {
	b, err := p.Block(language, with)
	if err != nil {
		return Page{}, err
	}
	i := slices.IndexFunc(p.Blocks, func(other Block) bool { return other.Line == b.Line })
	list := p.Blocks[i : i+1]
	if i+1 < len(p.Blocks) && p.Blocks[i+1].Language == "output" {
		list = p.Blocks[i : i+2]
	}
	return Page{p.Path, list}, nil
}

// Claims reports whether the page has blocks that a reader can follow.
func (p Page) Claims() bool {
	return slices.ContainsFunc(p.Blocks, func(b Block) bool {
		return b.Language == "console" || b.Language == "output" || b.Language == "sh" && !b.has("install") && !b.has("elsewhere")
	})
}

func (b Block) has(word string) bool { return slices.Contains(b.Words, word) }

// value is what a word says after a key such as file=, "" if there is none.
func (b Block) value(key string) string {
	for _, w := range b.Words {
		if v, ok := strings.CutPrefix(w, key); ok {
			return v
		}
	}
	return ""
}

// step is one command, what is typed into it, and what it is said to print.
type step struct {
	command, typed, want string
}

// console are the steps of a console block.
func console(text string) (steps []step, err error) {
	more := false
	for line := range strings.Lines(text) {
		command, starts := strings.CutPrefix(line, "$ ")
		typed, types := strings.CutPrefix(line, "> ")
		if !starts && len(steps) == 0 {
			return nil, fmt.Errorf("%q stands before any command", strings.TrimSpace(line))
		}
		if starts {
			steps = append(steps, step{})
		} else {
			command = line
		}
		last := &steps[len(steps)-1]
		switch {
		case starts || more:
			last.command += command
			more = strings.HasSuffix(command, "\\\n")
		case types:
			last.typed += typed
		default:
			last.want += line
		}
	}
	return steps, nil
}

var blanks = regexp.MustCompile(`[ \t]+`)

// Match reports whether got is what want claims: see the package's comment.
func Match(want, got string) bool { return matchLines(claimLines(want), claimLines(got)) }

func claimLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(blanks.ReplaceAllString(line, " ")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func matchLines(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "…" {
		for skip := range len(got) + 1 {
			if matchLines(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchLine(want[0], got[0]) && matchLines(want[1:], got[1:])
}

func matchLine(want, got string) bool {
	parts := strings.Split(want, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got)
}
