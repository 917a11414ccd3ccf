package nodeproc

import (
	"testing"
)

// No port is given out twice soon, nor one of another process's blocks; a block is used again after the others.
func TestPorts(t *testing.T) {
	seen := make(map[int]int) // port to when
	for i := range 2 * maxHeld * blockPorts {
		port := FreePorts(t, 1)[0]
		if last, was := seen[port]; was && i-last < (maxHeld-1)*(blockPorts-50) {
			t.Fatalf("port %d was given out %d ports ago", port, i-last)
		}
		seen[port] = i
	}
	if len(ports.held) != maxHeld {
		t.Errorf("%d blocks are held, want %d", len(ports.held), maxHeld)
	}
}
