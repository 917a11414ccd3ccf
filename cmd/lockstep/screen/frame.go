// Package screen shows lines on the whole of a terminal, drawn over again and
// again, and leaves the terminal as it was.
//
// A frame is made by a pure function of lines and size. The control sequences are
// the few of ECMA-48 and xterm that every terminal of today has.
package screen

import (
	"fmt"
	"strings"
)

// Control sequences: another screen that does not wrap lines, without a cursor, and
// back; and what frames are drawn with.
const (
	Open  = "\x1b[?1049h\x1b[?7l\x1b[?25l"
	Close = "\x1b[?25h\x1b[?7h\x1b[?1049l"

	home       = "\x1b[H"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// Size is that of a terminal in characters.
type Size struct{ Columns, Rows int }

// Frame draws lines from the top, over whatever is there. Lines are cut at the right; where
// there are more than rows, the last row says how many.
func Frame(lines []string, s Size) string {
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if more := len(lines) - i; i == s.Rows-1 && more > 1 {
			line = fmt.Sprintf("… and %d lines more", more)
		}
		if i == s.Rows {
			return b.String()
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(eraseLine + cut(line, s.Columns)) // erased first: at the last column it would take a character
	}
	if len(lines) < s.Rows {
		b.WriteString("\r\n" + eraseBelow)
	}
	return b.String()
}

// cut takes the first so many characters of a line.
func cut(line string, columns int) string {
	n := 0
	for i := range line {
		if n == columns {
			return line[:i]
		}
		n++
	}
	return line
}
