// Package contexts is the ways to reach clusters, kept by name as the nats
// command keeps them: one JSON file each, and the name of the one in use.
//
//	$XDG_CONFIG_HOME/lockstep/context/NAME.json
//	$XDG_CONFIG_HOME/lockstep/context.txt
//
// The JSON has nats's own keys (url, creds, nkey, ca, cert, key), so that a
// file serves both.
package contexts

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering/jetstream"
)

// Context is how to reach one cluster. The zero value is a server without
// accounts at DefaultURL.
type Context struct {
	Name        string `json:"-"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`   // several with commas
	Creds       string `json:"creds,omitempty"` // credentials file
	Nkey        string `json:"nkey,omitempty"`  // file with a seed
	CA          string `json:"ca,omitempty"`    // PEM files of TLS
	Cert        string `json:"cert,omitempty"`
	Key         string `json:"key,omitempty"`
}

// DefaultURL is where a node listens that is told nothing.
const DefaultURL = "nats://127.0.0.1:4222"

// ErrUnknown says that there is no context of a name.
var ErrUnknown = errors.New("no such context")

// Store is a folder of contexts.
type Store struct{ Dir string }

// Default is the user's own store.
func Default() (Store, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return Store{}, fmt.Errorf("find the folder of contexts: %w", err)
	}
	return Store{filepath.Join(dir, "lockstep")}, nil
}

func (s Store) path(name string) string { return filepath.Join(s.Dir, "context", name+".json") }

func checkName(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "/\\:*? \t\n") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("context name %q: want 1 to 64 letters, digits, - or _", name)
	}
	return nil
}

// Load reads a context.
func (s Store) Load(name string) (Context, error) {
	if err := checkName(name); err != nil {
		return Context{}, err
	}
	text, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Context{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	if err != nil {
		return Context{}, fmt.Errorf("read context: %w", err)
	}
	c := Context{}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read context %s: %w", s.path(name), err)
	}
	c.Name = name
	return c, nil
}

// Save writes a context, over one of the same name.
func (s Store) Save(c Context) error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write context: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "context"), 0o700); err != nil {
		return fmt.Errorf("write context: %w", err)
	}
	if err := os.WriteFile(s.path(c.Name), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write context: %w", err)
	}
	return nil
}

// Remove deletes a context; it is no longer selected.
func (s Store) Remove(name string) error {
	if _, err := s.Load(name); errors.Is(err, ErrUnknown) {
		return err
	}
	if err := os.Remove(s.path(name)); err != nil {
		return fmt.Errorf("remove context: %w", err)
	}
	if s.Selected() == name {
		return os.Remove(s.selection())
	}
	return nil
}

// List is the names of all contexts, ascending.
func (s Store) List() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "context", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list contexts: %w", err)
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	slices.Sort(names)
	return names, nil
}

func (s Store) selection() string { return filepath.Join(s.Dir, "context.txt") }

// Select makes a context the one in use.
func (s Store) Select(name string) error {
	if _, err := s.Load(name); err != nil {
		return err
	}
	if err := os.WriteFile(s.selection(), []byte(name+"\n"), 0o600); err != nil {
		return fmt.Errorf("select context: %w", err)
	}
	return nil
}

// Selected is the context in use, "" for none.
func (s Store) Selected() string {
	text, err := os.ReadFile(s.selection())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// ErrLogin marks a key, credentials or certificates that cannot be used as they are here.
var ErrLogin = errors.New("nothing was asked")

// Connect connects to the cluster. What is refused or out of reach now is an
// error; a connection that breaks later comes back by itself. An error with the files
// that say who connects is ErrLogin (wrapped).
func (c Context) Connect(name string) (*nats.Conn, error) {
	conn, err := c.connect(name)
	if err != nil && c.Name != "" {
		return nil, fmt.Errorf("context %s: %w", c.Name, err) // which was maybe selected long ago
	}
	return conn, err
}

func (c Context) connect(name string) (*nats.Conn, error) {
	url := c.URL
	if url == "" {
		url = DefaultURL
	}
	login, err := c.login()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrLogin)
	}
	opts := append(jetstream.ConnOptions(name, nil), nats.RetryOnFailedConnect(false), nats.Timeout(3*time.Second))
	conn, err := nats.Connect(url, append(opts, login...)...)
	if err == nil {
		return conn, nil
	}
	return nil, fmt.Errorf("connect to %s: %w", url, advise(err))
}

// login are the options that say who connects, and whom it trusts.
func (c Context) login() (opts []nats.Option, err error) {
	if c.Nkey != "" {
		nkey, err := jetstream.Nkey(c.Nkey)
		if err != nil {
			return nil, fmt.Errorf("read nkey: %w: want a file with a seed alone, as 'lockstep init' writes client.nk", err)
		}
		opts = append(opts, nkey...)
	}
	if c.Creds != "" {
		creds, err := jetstream.Creds(c.Creds)
		if err != nil {
			return nil, fmt.Errorf("read credentials: %w: want a file as nsc writes it", err)
		}
		opts = append(opts, creds...)
	}
	tls, err := jetstream.Login{CAFile: c.CA, CertFile: c.Cert, KeyFile: c.Key}.Options()
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return append(opts, tls...), nil
}

// advise says what to do about a server that is not reached, or lets nobody in.
func advise(err error) error {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return errors.New("the server does not know this user: name its key with --nkey FILE, or a context that does")
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w: that server has no TLS, and is not to be trusted with what asks for it: leave out tls:// and --ca if it is yours", err)
	case errors.Is(err, nats.ErrSecureConnRequired):
		return fmt.Errorf("%w: write tls:// in the URL, and name whom to trust with --ca FILE", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name whom to trust with --ca FILE", err)
	case errors.As(err, &other):
		return fmt.Errorf("%w: name the server as its certificate does", err)
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "tls error"): // an alert, or a connection that was closed before it came: they have no type
		return fmt.Errorf("%w: the server does not accept this certificate: name one with --cert FILE and --key FILE", err)
	}
	return fmt.Errorf("%w: is a node running there? Start one with 'lockstep node', or name another with --server or --context", err)
}
