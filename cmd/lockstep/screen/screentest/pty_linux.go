package screentest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Pty is a terminal of the kernel's, whose screen is Terminal.
type Pty struct {
	*Terminal
	Program *os.File // what a program has as its input and output
	keys    *os.File // where what it writes arrives, and keys are pressed
	read    chan struct{}
}

// OpenPty opens one.
func OpenPty(t testing.TB, columns, rows int) *Pty {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pty{New(columns, rows), program, keys, make(chan struct{})}
	p.SetSize(t, columns, rows)
	go func() {
		defer close(p.read)
		buffer := make([]byte, 4096)
		for {
			n, err := keys.Read(buffer)
			_, _ = p.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _, _ = program.Close(), keys.Close() })
	return p
}

// SetSize makes the window another one.
func (p *Pty) SetSize(t testing.TB, columns, rows int) {
	t.Helper()
	p.Resize(columns, rows)
	if err := unix.IoctlSetWinsize(int(p.keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
}

// Press presses keys.
func (p *Pty) Press(t testing.TB, keys string) {
	t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// Mode is how the terminal takes lines and signals.
func (p *Pty) Mode(t testing.TB) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.keys.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *mode
}
