package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"lockstep/ordering/journal/durable"
)

// openKey reads the replica's key from its directory, or makes both. The key
// is an nkey of type node: an ed25519 seed in NATS's own text form.
func openKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, "replica.nk")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open replica key: %w", err)
	}
	_, seed, err := nkeys.DecodeSeed(text)
	if err != nil {
		return nil, fmt.Errorf("open replica key %s: %w", path, err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func makeKey(dir, path string) ([]byte, error) {
	pair, err := nkeys.CreatePair(nkeys.PrefixByteServer)
	if err != nil {
		return nil, err
	}
	text, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return text, durable.WriteFile(path, text)
}
