package sim

import (
	"crypto/ed25519"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
)

// A replica that is new asks the others in which epoch they are. One that lies, however often it answers, is one of them.
func TestLiarIsOneOfThem(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, shared(t))
	c.deploy(audit.Majority)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	lie := host.Info{Machine: machine, Replica: "liar", Key: key.Public().(ed25519.PublicKey), Log: 9}
	lie.Sign(key)
	_, err := c.conn.Subscribe(host.InfoSubject(machine), func(m *nats.Msg) {
		for range 9 {
			_ = m.Respond(host.InfoFormat.Encode(lie))
		}
	})
	if err == nil {
		err = c.conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	n := &simNode{name: "n4", dir: filepath.Join(t.TempDir(), "n4")}
	c.nodes = append(c.nodes, n)
	c.start(3)
	t.Cleanup(func() { c.crash(3) })
	r, err := n.node.Host(t.Context(), machine)
	if err != nil {
		t.Fatal(err)
	}
	if in := r.Info(); in.Log != 1 {
		t.Errorf("it is in epoch %d", in.Log)
	}
}
