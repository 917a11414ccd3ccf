package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"lockstep/audit"
)

// An operator's key is named by its public half or the file of its seed; what is no such key is refused, and what a machine wants
// signed is not signed with another one.
func TestOperatorKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pair := func(prefix nkeys.PrefixByte, fill byte) (seed, public string) {
		k, err := nkeys.FromRawSeed(prefix, append(make([]byte, 31), fill))
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Seed()
		if err == nil {
			public, err = k.PublicKey()
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(s), public
	}
	seed, public := pair(nkeys.PrefixByteUser, 1)
	other, stranger := pair(nkeys.PrefixByteUser, 2)
	server, serverPublic := pair(nkeys.PrefixByteServer, 1)
	own := write("own.nk", seed+"\n")
	wanted, err := readOperator(public)
	if err != nil || operatorText(wanted) != public {
		t.Fatalf("%s is read as %s, %v", public, operatorText(wanted), err)
	}
	if o, err := readOperator(own); err != nil || o != wanted {
		t.Errorf("the seed of %s is read as %s, %v", public, operatorText(o), err)
	}
	for _, text := range []string{"", "none.nk", public[:55], serverPublic, write("server.nk", server), write("public.nk", public), write("empty.nk", ""), write("cut.nk", seed[:50])} {
		if o, err := readOperator(text); err == nil {
			t.Errorf("%q is taken for key %s", text, operatorText(o))
		}
	}
	for name, c := range map[string]struct {
		wanted audit.Operator
		path   string
		says   string // "": it is signed with the key that is wanted
	}{
		"own":              {wanted, own, ""},
		"none given":       {wanted, "", "operator's key " + public + ": sign with --operator-nkey FILE"},
		"another":          {wanted, write("other.nk", other), "is key " + stranger + ", and machine m was deployed with operator's key " + public},
		"public half only": {wanted, write("public.nk", public), "want the seed of a user's nkey alone"},
		"none wanted":      {audit.Operator{}, own, "leave out --operator-nkey"},
	} {
		key, err := signer("m", c.wanted, c.path)
		if c.says == "" {
			if err != nil || audit.Operator(key.Public().(ed25519.PublicKey)) != wanted {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || key != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if key, err := signer("m", audit.Operator{}, ""); key != nil || err != nil {
		t.Errorf("neither wanted nor given: %v, %v", key, err)
	}
}
