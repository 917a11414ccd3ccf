package main

import (
	"bytes"
	"crypto/ed25519"
	"os"

	"github.com/nats-io/nkeys"

	"lockstep/audit"
	"lockstep/ordering"
)

// An operator's key is an nkey of type user, such as 'lockstep init' writes to operator.nk. Its public half is in a machine's
// membership; the seed is needed to recover that machine, and for nothing else.

// operatorText is an operator's key as people read it.
func operatorText(o audit.Operator) string {
	text, err := nkeys.Encode(nkeys.PrefixByteUser, o[:])
	if err != nil {
		panic(err) // the prefix is a valid one
	}
	return string(text)
}

// readOperator is the key that a text, or the seed in a file of that name, says.
func readOperator(text string) (o audit.Operator, err error) {
	if nkeys.IsValidPublicUserKey(text) {
		public, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(text))
		copy(o[:], public)
		return o, err
	}
	key, err := readOperatorSeed(text)
	if err == nil {
		o = audit.Operator(key.Public().(ed25519.PublicKey))
	}
	return o, err
}

func readOperatorSeed(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("read operator's key: %w", err)
	}
	prefix, seed, err := nkeys.DecodeSeed(bytes.TrimSpace(text))
	if err == nil && prefix != nkeys.PrefixByteUser {
		err = nkeys.ErrInvalidPrefixByte
	}
	if err != nil {
		return nil, usage("read operator's key %s: %w: want the seed of a user's nkey alone, as 'lockstep init' writes operator.nk", path, err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// signer is the key to sign a machine's recovery with: the one that its membership has, nil if that has none. path is what was given.
func signer(machine ordering.Name, wanted audit.Operator, path string) (ed25519.PrivateKey, error) {
	if wanted == (audit.Operator{}) {
		if path != "" {
			return nil, usage("machine %s was deployed without an operator's key: leave out --operator-nkey", machine)
		}
		return nil, nil
	}
	if path == "" {
		return nil, usage("machine %s was deployed with operator's key %s: sign with --operator-nkey FILE", machine, operatorText(wanted))
	}
	key, err := readOperatorSeed(path)
	if err != nil {
		return nil, err
	}
	if have := audit.Operator(key.Public().(ed25519.PublicKey)); have != wanted {
		return nil, usage("%s is key %s, and machine %s was deployed with operator's key %s", path, operatorText(have), machine, operatorText(wanted))
	}
	return key, nil
}
