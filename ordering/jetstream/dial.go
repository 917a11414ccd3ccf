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
		if _, err := os.ReadFile(l.CredsFile); err != nil {
			return nil, fmt.Errorf("NATS login: %w", err)
		}
		options = append(options, nats.UserCredentials(l.CredsFile))
	case l.SeedFile != "":
		option, err := nats.NkeyOptionFromSeed(l.SeedFile)
		if err != nil {
			return nil, fmt.Errorf("NATS login: read seed file %s: %w", l.SeedFile, err)
		}
		options = append(options, option)
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
