// Package screentest is a terminal as programs see it, for tests: Terminal understands the
// control sequences of package screen, and no others; Pty is one of the kernel's.
package screentest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Terminal is the characters on a screen.
type Terminal struct {
	mu            sync.Mutex
	columns, rows int
	row, column   int
	wrap, cursor  bool
	second        bool // the screen that programs use for themselves
	screens       [2][][]rune
	pending       string // the beginning of a sequence
	unknown       []string
}

// New returns an empty terminal.
func New(columns, rows int) *Terminal {
	t := &Terminal{wrap: true, cursor: true}
	t.Resize(columns, rows)
	return t
}

// Resize changes the size, and keeps what still has room.
func (t *Terminal) Resize(columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.screens {
		lines := make([][]rune, rows)
		for r := range lines {
			lines[r] = []rune(strings.Repeat(" ", columns))
			if r < len(t.screens[i]) {
				copy(lines[r], t.screens[i][r])
			}
		}
		t.screens[i] = lines
	}
	t.columns, t.rows = columns, rows
	t.row, t.column = min(t.row, rows-1), min(t.column, columns-1)
}

var sequence = regexp.MustCompile(`^\x1b\[(\??)([0-9]*)([A-Za-z])`)

// Write implements io.Writer.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.pending + string(p)
	t.pending = ""
	for text != "" {
		if text[0] == '\x1b' {
			m := sequence.FindStringSubmatch(text)
			if m == nil {
				t.pending = text
				break
			}
			t.obey(m[1], m[2], m[3])
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		t.put(r)
		text = text[len(string(r)):]
	}
	return len(p), nil
}

func (t *Terminal) lines() [][]rune {
	if t.second {
		return t.screens[1]
	}
	return t.screens[0]
}

func (t *Terminal) put(r rune) {
	switch r {
	case '\r':
		t.column = 0
	case '\n':
		t.down()
	default:
		if t.column == t.columns {
			if t.wrap {
				t.column = 0
				t.down()
			} else {
				t.column--
			}
		}
		t.lines()[t.row][t.column] = r
		t.column++
	}
}

func (t *Terminal) down() {
	if t.row++; t.row < t.rows {
		return
	}
	t.row--
	lines := t.lines()
	copy(lines, lines[1:])
	lines[t.row] = []rune(strings.Repeat(" ", t.columns))
}

func (t *Terminal) obey(private, number, letter string) {
	on := letter == "h"
	switch private + number + letter {
	case "H":
		t.row, t.column = 0, 0
	case "K":
		t.erase(t.row, t.column)
	case "J":
		t.erase(t.row, t.column)
		for r := t.row + 1; r < t.rows; r++ {
			t.erase(r, 0)
		}
	case "?1049h", "?1049l":
		t.second = on
	case "?7h", "?7l":
		t.wrap = on
	case "?25h", "?25l":
		t.cursor = on
	default:
		t.unknown = append(t.unknown, strconv.Quote(private+number+letter))
	}
}

func (t *Terminal) erase(row, from int) {
	for c := min(from, t.columns-1); c < t.columns; c++ {
		t.lines()[row][c] = ' '
	}
}

// Text is what is to be seen, without blanks at the ends of lines.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, line := range t.lines() {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return b.String()
}

// Left says what a program that has ended left behind, "" for nothing.
func (t *Terminal) Left() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.unknown) > 0:
		return fmt.Sprintf("sequences that not every terminal has: %v", t.unknown)
	case t.pending != "":
		return fmt.Sprintf("half a sequence: %q", t.pending)
	case t.second:
		return "its own screen"
	case !t.cursor:
		return "no cursor"
	case !t.wrap:
		return "lines that do not wrap"
	}
	return ""
}
