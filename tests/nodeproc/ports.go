package nodeproc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports gives out ports that no other test process does: each has blocks of its own, which it holds by listening at their
// first port. They are below those that the system gives to connections that go out: one of these could take a port
// before its server does, or while that is down.
var ports struct {
	mu         sync.Mutex
	next, last int
	held       []net.Listener // for as long as the process lives
	turn       int            // of those that are held, once there are enough
}

const (
	lowestPort = 10_000
	blockPorts = 200
	blocks     = 100
	maxHeld    = 4
)

// FreePorts finds ports that nobody listens at.
func FreePorts(t testing.TB, n int) (free []int) {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for tries := 0; len(free) < n; tries++ {
		if tries == 10*blockPorts {
			t.Fatal("no ports are free")
		}
		if ports.next >= ports.last {
			nextBlock()
			continue
		}
		port := ports.next
		ports.next++
		if l, err := listen(port); err == nil {
			_ = l.Close()
			free = append(free, port)
		}
	}
	return free
}

// nextBlock tries to take a block, or goes back to one whose ports were given out long ago.
func nextBlock() {
	if len(ports.held) == maxHeld {
		first := ports.held[ports.turn%maxHeld].Addr().(*net.TCPAddr).Port
		ports.turn++
		ports.next, ports.last = first+1, first+blockPorts
		return
	}
	first := lowestPort + blockPorts*rand.IntN(blocks)
	if l, err := listen(first); err == nil {
		ports.held = append(ports.held, l)
		ports.next, ports.last = first+1, first+blockPorts
	}
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
