package screen

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Keys that end what is shown. Ctrl-C comes as one while the terminal sends keys and not lines.
const (
	keyQuit      = 'q'
	keyInterrupt = 3
)

// resizeEvery is how often the size of the terminal is looked at.
const resizeEvery = 100 * time.Millisecond

// fallback is the size of a terminal that does not tell it.
var fallback = Size{80, 24}

// Live shows what lines returns, again and again, until ctx ends or somebody presses q or
// ctrl-C; lines is then called no more, and its context ends. In may be no terminal: then no
// key ends it. The terminal is left as it was, whatever happened.
func Live(ctx context.Context, in, out *os.File, every time.Duration, lines func(context.Context) []string) (err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	if term.IsTerminal(int(in.Fd())) {
		was, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return fmt.Errorf("set up terminal: %w", err)
		}
		defer func() { _ = term.Restore(int(in.Fd()), was) }() // whoever took the terminal away needs it no more
		go keys(in, quit)
	}
	if _, err := io.WriteString(out, Open); err != nil {
		return fmt.Errorf("write to terminal: %w", err)
	}
	defer func() { _, _ = io.WriteString(out, Close) }()
	for {
		shown := lines(ctx)
		if ctx.Err() != nil {
			return nil // which is how it ends
		}
		if err := hold(ctx, out, shown, every); err != nil {
			return err
		}
	}
}

// hold shows lines for so long, at whatever size the terminal has meanwhile.
func hold(ctx context.Context, out *os.File, lines []string, long time.Duration) error {
	over := time.After(long)
	resized := time.NewTicker(resizeEvery)
	defer resized.Stop()
	var drawn Size
	for {
		if now := sizeOf(out); now != drawn {
			drawn = now
			if _, err := io.WriteString(out, Frame(lines, now)); err != nil {
				return fmt.Errorf("write to terminal: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case <-resized.C:
		}
	}
}

func sizeOf(out *os.File) Size {
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil || columns < 1 || rows < 1 {
		return fallback
	}
	return Size{columns, rows}
}

// keys reads until one of them ends it. It is still reading when the command ends.
func keys(in io.Reader, quit func()) {
	var key [1]byte
	for {
		if _, err := in.Read(key[:]); err != nil {
			return
		}
		if key[0] == keyQuit || key[0] == keyInterrupt {
			quit()
			return
		}
	}
}
