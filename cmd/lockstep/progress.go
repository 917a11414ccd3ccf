package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows how far long work is, on a terminal and nowhere else. It is a writer
// that counts what is written to it, so that it stands beside any stream.
type bar struct {
	to    io.Writer // nil: shows nothing
	what  string
	total int64
	done  int64
	drawn time.Time
}

const (
	clearLine = "\x1b[K" // from here to the end of the line, as terminals know it
	barWidth  = 30
	barEvery  = 100 * time.Millisecond
)

// newBar begins a bar for so many bytes.
func newBar(to io.Writer, what string, total int64) *bar {
	b := &bar{what: what, total: total, drawn: time.Now()}
	if isTerminal(to) {
		b.to = to
	}
	return b
}

// Write implements io.Writer.
func (b *bar) Write(p []byte) (int, error) {
	b.add(int64(len(p)))
	return len(p), nil
}

func (b *bar) add(n int64) {
	b.done += n
	if now := time.Now(); b.to != nil && now.Sub(b.drawn) >= barEvery {
		b.drawn = now
		_, _ = io.WriteString(b.to, "\r"+clearLine+b.text()) // nothing depends on it
	}
}

func (b *bar) text() string {
	part := 0.0
	if b.total > 0 {
		part = min(1, float64(b.done)/float64(b.total))
	}
	full := int(part * barWidth)
	return fmt.Sprintf("%s [%s%s] %3.0f %%, %s", b.what, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*part, bytesText(uint64(b.done)))
}

// end takes the bar away.
func (b *bar) end() {
	if b.to != nil {
		_, _ = io.WriteString(b.to, "\r"+clearLine)
	}
}

// note shows one line on a terminal while f runs.
func note(to io.Writer, text string, f func() error) error {
	b := newBar(to, "", 0)
	if b.to != nil {
		_, _ = io.WriteString(b.to, "\r"+clearLine+text)
	}
	defer b.end()
	return f()
}

// fileBar begins a bar for reading a file.
func fileBar(to io.Writer, what string, f *os.File) *bar {
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	return newBar(to, what, size)
}
