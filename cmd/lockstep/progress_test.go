package main

import (
	"os"
	"strings"
	"testing"
)

func TestBar(t *testing.T) {
	var out strings.Builder
	b := newBar(&out, "reading", 200)
	_, _ = b.Write(make([]byte, 100))
	if want := "reading [===============               ]  50 %, 100 B"; b.text() != want {
		t.Errorf("got %q, want %q", b.text(), want)
	}
	b.drawn = b.drawn.Add(-barEvery)
	b.add(500)
	if b.end(); out.Len() > 0 {
		t.Errorf("it shows %q where there is no terminal", out.String())
	}
	b.to = &out // as on a terminal
	b.drawn = b.drawn.Add(-barEvery)
	b.add(0)
	if !strings.Contains(out.String(), "100 %") {
		t.Errorf("it shows %q", out.String())
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if isTerminal(null) {
		t.Error("the null device is taken for a terminal")
	}
}
