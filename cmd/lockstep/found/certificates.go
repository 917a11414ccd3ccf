package found

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long certificates are valid. Who may connect is said by keys, which do not end.
const validity = 10 * 365 * 24 * time.Hour

// authority signs the certificates of a cluster's nodes.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// newAuthority makes one, and writes its certificate and key.
func newAuthority(dir, cluster string) (*authority, error) {
	a := &authority{certificate: &x509.Certificate{
		Subject: pkix.Name{CommonName: "lockstep cluster " + cluster}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}}
	var err error
	if a.pem, a.key, err = a.sign(a.certificate, filepath.Join(dir, "ca.key")); err != nil {
		return nil, err
	}
	return a, writeFile(filepath.Join(dir, "ca.pem"), a.pem)
}

// node makes the certificate and key of a node that is reached at a host, and puts the authority's
// certificate beside them.
func (a *authority) node(dir, name, host string) error {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // to each other nodes are both
	}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
	} else if host != "" {
		c.DNSNames = append(c.DNSNames, host)
	}
	text, _, err := a.sign(c, filepath.Join(dir, "node.key"))
	if err == nil {
		err = writeFile(filepath.Join(dir, "node.pem"), text)
	}
	if err == nil {
		err = writeFile(filepath.Join(dir, "ca.pem"), a.pem)
	}
	return err
}

// sign makes a key, which is written, and a certificate of it by the authority's key, or by itself if there is none yet.
func (a *authority) sign(c *x509.Certificate, keyPath string) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key of certificate: %w", err)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	now := time.Now()
	c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(validity) // clocks differ
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, key.Public(), by)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key of certificate: %w", err)
	}
	if err := writeFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

func writeFile(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
