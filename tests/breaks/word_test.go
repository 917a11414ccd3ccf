package breaks

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"lockstep/client/recovery"
	"lockstep/host/epochs"
	"lockstep/tests/nodeproc"
)

// Replicas may lie, and a lost majority comes back: they and clients know by the signature of the machine's operator what no replica
// can make them believe, that others went on without them.
func TestLostMajorityReturnsByWord(t *testing.T) {
	t.Parallel()
	startSigned(t).majorityReturns()
}

// Replicas may lie, and only an operator can choose between two ways: nothing is opened without the signature with the machine's own
// key, and the command says which that is.
func TestTwoWaysByWord(t *testing.T) {
	t.Parallel()
	p := startSigned(t)
	p.twoWays(func(lost int) []string {
		order, command := p.recovery(lost), p.command()
		own, public := p.seed(p.operator.Seed())
		other, stranger := p.seed(make([]byte, 32))
		for _, c := range []struct {
			args []string
			says []string
		}{
			{nil, []string{"was deployed with operator's key " + public, "--operator-nkey FILE"}},
			{[]string{"--operator-nkey", other}, []string{other + " is key " + stranger, "was deployed with operator's key " + public}},
			{[]string{"--operator-nkey", filepath.Join(t.TempDir(), "none")}, []string{"read operator's key"}},
		} {
			out, ok := command.run(slices.Concat(order, c.args, []string{"--from", nodeproc.Name((lost + 1) % 3), "--yes"})...)
			for _, want := range c.says {
				if ok || !strings.Contains(out, want) {
					t.Errorf("lockstep recover with %q does not say %q:\n%s", c.args, want, out)
				}
			}
		}
		for id, in := range p.infosOf((lost+1)%3, (lost+2)%3) {
			if in.Log != 1 {
				t.Errorf("%s is in epoch %d without the operator's signature", id, in.Log)
			}
		}
		return append(order, "--operator-nkey", own)
	})
}

// unsigned wants nothing to be opened by an order that is not signed with the key of the machine's operator.
func (p *processes) unsigned(c *recovery.Cluster, plan recovery.Plan) {
	p.t.Helper()
	if _, err := c.Order(within(p.t, patience), plan, "no key", nil); !errors.Is(err, recovery.ErrNoKey) {
		p.t.Errorf("an order without a signature: %v", err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := c.Order(within(p.t, patience), plan, "another key", other); err == nil || !strings.Contains(err.Error(), epochs.ErrNoWord.Error()) {
		p.t.Errorf("an order with another's signature: %v", err)
	}
	for id, in := range p.infos() {
		if in.Log != 1 {
			p.t.Errorf("%s is in epoch %d without the operator's signature", id, in.Log)
		}
	}
}

// seed writes an nkey to a file.
func (p *processes) seed(raw []byte) (path, public string) {
	p.t.Helper()
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, raw)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := pair.Seed()
	if err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	path = filepath.Join(p.t.TempDir(), "operator.nk")
	put(p.t, path, append(text, '\n'))
	return path, public
}
