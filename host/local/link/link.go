// Package link is TCP between nodes that can be cut, for tests, demos and clusters in one process.
package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Link is a one-way path from one node's server to another's: a TCP port that
// forwards to a target, and can be cut in the middle of whatever it carries.
type Link struct {
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex
	target string // "" while nobody is there
	cut    bool
	conns  map[net.Conn]struct{}
}

// New makes a link that leads nowhere.
func New() (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a link: %w", err)
	}
	l := &Link{listener: listener, conns: make(map[net.Conn]struct{})}
	l.done.Add(1)
	go l.accept()
	return l, nil
}

// Addr is host:port where the link begins.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Set says where the link leads, and whether it is cut. Cutting resets every
// connection at once.
func (l *Link) Set(target string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target, l.cut = target, cut
	if cut {
		l.reset()
	}
}

// reset drops connections without a word to either side. The caller holds mu.
func (l *Link) reset() {
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // RST, as from a host that is gone
		}
		_ = c.Close()
	}
	clear(l.conns)
}

// Close ends the link and all that it carries.
func (l *Link) Close() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.cut = true
	l.reset()
	l.mu.Unlock()
	l.done.Wait()
}

func (l *Link) accept() {
	defer l.done.Done()
	for {
		in, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		l.done.Add(1)
		go l.carry(in)
	}
}

func (l *Link) carry(in net.Conn) {
	defer l.done.Done()
	out := l.dial()
	if out == nil || !l.hold(in, out) {
		_ = in.Close()
		if out != nil {
			_ = out.Close()
		}
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = in.Close()
			_ = out.Close()
		})
	}
	both.Wait()
	l.mu.Lock()
	delete(l.conns, in)
	delete(l.conns, out)
	l.mu.Unlock()
}

func (l *Link) dial() net.Conn {
	l.mu.Lock()
	target, cut := l.target, l.cut
	l.mu.Unlock()
	if cut || target == "" {
		return nil
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		return nil
	}
	return out
}

func (l *Link) hold(in, out net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[in], l.conns[out] = struct{}{}, struct{}{}
	return true
}
