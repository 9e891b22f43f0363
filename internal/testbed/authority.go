package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Authority signs certificates.
type Authority struct {
	PEM string // its own certificate

	tb     TB
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// NewAuthority makes one that nothing else trusts.
func NewAuthority(tb TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, serial: 1}
	a.key = a.newKey()
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority " + rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.PEM = a.sign(a.cert, &a.key.PublicKey)
	return a
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatalf("make a key: %v", err)
	}
	return key
}

func (a *Authority) sign(c *x509.Certificate, key *ecdsa.PublicKey) string {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key, a.key)
	if err != nil {
		a.tb.Fatalf("sign a certificate: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Issue makes a certificate for addresses, none of which anybody need connect
// to, its key, and its serial number.
func (a *Authority) Issue(addresses ...string) (cert, key string, serial int64) {
	a.tb.Helper()
	k := a.newKey()
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.tb.Fatalf("write a key: %v", err)
	}
	c := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "a node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, at := range addresses {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(at))
	}
	a.serial++
	c.SerialNumber = big.NewInt(a.serial)
	cert = a.sign(c, &k.PublicKey)
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), a.serial
}

// Files are those of a new certificate: name.crt, name.key and name.ca, of uid,
// the key as secrets are.
func (a *Authority) Files(name string, uid int, addresses ...string) []File {
	a.tb.Helper()
	cert, key, _ := a.Issue(addresses...)
	return []File{
		{Path: name + ".crt", Data: cert, UID: uid}, {Path: name + ".key", Data: key, Mode: 0o600, UID: uid}, {Path: name + ".ca", Data: a.PEM, UID: uid},
	}
}
