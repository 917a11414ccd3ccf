package breaks

import (
	"fmt"
	"testing"
)

// The message blocks of one, two and three servers are cut in half. The servers report themselves healthy,
// answer with what is left, and may lead.
func TestBlocksCut(t *testing.T) {
	most := 1
	if *all {
		most = 3
	}
	for n := 1; n <= most; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := startProcesses(t)
			l := startLoad(t, p.cl)
			l.more(300)
			first := p.leader()
			for k := range n {
				p.Kill((first + k) % 3)
			}
			for k := range n {
				p.cutBlocks((first + k) % 3)
			}
			p.Mend(t)
			l.more(300)
			p.awaitVoters(1, 0, 1, 2)
			l.end()
			p.verify()
		})
	}
}
