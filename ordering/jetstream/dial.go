package jetstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Login is how a connection shows the servers who it is, and how it knows them. The zero value
// is nobody in particular, which servers without accounts take. At most one of
// CredsFile, SeedFile, User and Token is given.
type Login struct {
	CredsFile string // a user's JWT and seed, as nsc writes it
	SeedFile  string // a user's nkey seed, alone in a file
	User      string
	Password  string
	Token     string

	CAFile   string // PEM; nil means the system's
	CertFile string // PEM; with KeyFile, this side's certificate
	KeyFile  string
}

// Validate says what is wrong with the login. It reads no file.
func (l Login) Validate() error {
	given := 0
	for _, s := range []string{l.CredsFile, l.SeedFile, l.User, l.Token} {
		if s != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("NATS login: give one of a credentials file, a seed file, a user and a token")
	case l.Password != "" && l.User == "":
		return errors.New("NATS login: a password without a user")
	case (l.CertFile == "") != (l.KeyFile == ""):
		return errors.New("NATS login: a certificate needs its key, and a key its certificate")
	}
	return nil
}

// Options are those of the NATS client. Files are read now, so that one that is missing
// is an error here and not at some later reconnect.
func (l Login) Options() ([]nats.Option, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	var options []nats.Option
	switch {
	case l.CredsFile != "":
		creds, err := Creds(l.CredsFile)
		if err != nil {
			return nil, fmt.Errorf("NATS login: %w", err)
		}
		options = append(options, creds...)
	case l.SeedFile != "":
		nkey, err := Nkey(l.SeedFile)
		if err != nil {
			return nil, fmt.Errorf("NATS login: %w", err)
		}
		options = append(options, nkey...)
	case l.User != "":
		options = append(options, nats.UserInfo(l.User, l.Password))
	case l.Token != "":
		options = append(options, nats.Token(l.Token))
	}
	if l.CAFile == "" && l.CertFile == "" {
		return options, nil
	}
	config, err := l.tls()
	if err != nil {
		return nil, fmt.Errorf("NATS login: %w", err)
	}
	return append(options, nats.Secure(config)), nil
}

// InboxPrefix is what the inboxes of a user begin with, by its public nkey: so its
// permissions can name them, and leave out everybody else's.
func InboxPrefix(public string) string { return "_INBOX." + public }

// Nkey are the options of a user whose seed is alone in a file.
func Nkey(file string) ([]nats.Option, error) {
	option, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, fmt.Errorf("read seed file %s: %w", file, err)
	}
	inbox, err := inboxOf(file)
	if err != nil {
		return nil, err
	}
	return []nats.Option{option, inbox}, nil
}

// Creds are the options of a user whose JWT and seed are in a file, as nsc writes it.
func Creds(file string) ([]nats.Option, error) {
	inbox, err := inboxOf(file)
	if err != nil {
		return nil, err
	}
	return []nats.Option{nats.UserCredentials(file), inbox}, nil
}

// inboxOf has the replies to a connection come to the inbox of the user whose seed is in a file.
func inboxOf(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	pair, err := nkeys.ParseDecoratedNKey(text)
	if err != nil {
		return nil, fmt.Errorf("read seed of %s: %w", file, err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read seed of %s: %w", file, err)
	}
	return nats.CustomInboxPrefix(InboxPrefix(public)), nil
}

func (l Login) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.CAFile != "" {
		pem, err := os.ReadFile(l.CAFile)
		if err != nil {
			return nil, err
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", l.CAFile)
		}
	}
	if l.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(l.CertFile, l.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// Pause between two tries of Dial.
const dialPause = 100 * time.Millisecond

// Dial connects to servers that run elsewhere, with ConnOptions. It waits for one that can be reached
// until ctx ends, but not for a login to become right. Once made, the connection
// moves between the servers by itself.
func Dial(ctx context.Context, name string, urls []string, l Login, logger *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	if len(urls) == 0 {
		return nil, errors.New("connect to NATS: no server is named")
	}
	login, err := l.Options()
	if err != nil {
		return nil, err
	}
	options := append(ConnOptions(name, logger), nats.RetryOnFailedConnect(false))
	options = append(append(options, login...), more...)
	for {
		conn, err := nats.Connect(strings.Join(urls, ","), options...)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
			return nil, fmt.Errorf("connect to NATS at %s: the servers refuse the login: %w", strings.Join(urls, ", "), err)
		}
		select {
		case <-time.After(dialPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(urls, ", "), errors.Join(context.Cause(ctx), err))
		}
	}
}
