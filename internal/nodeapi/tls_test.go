package nodeapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.crt")}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign writes a node's certificate and key into a directory.
func (a *authority) sign(t *testing.T, dir string, until time.Time) (cert, key string) {
	t.Helper()
	own := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", raw)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// node is a node's TLS, of its own files.
func (a *authority) node(t *testing.T, until time.Time) *TLS {
	t.Helper()
	cert, key := a.sign(t, t.TempDir(), until)
	own, err := LoadTLS(cert, key, a.file)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func hour() time.Time { return time.Now().Add(time.Hour) }

func TestNodesOfOneAuthorityNeedNoToken(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s, _ := serve(t, Config{TLS: a.node(t, hour())})
	p := NewTLSPeer(s.TCPAddr().String(), "", a.node(t, hour()))
	defer p.Close()
	if st, err := p.State(within(t, 20*time.Second)); err != nil || st.Node != "a" {
		t.Errorf("%+v %v", st, err)
	}
	var r *Refusal
	if _, err := p.Role(within(t, 20*time.Second), []byte(`{}`)); !errors.As(err, &r) || r.Status != 404 {
		t.Errorf("%v", err)
	}
}

func TestWithoutACertificateOnlyTheTokenOpensV1OverTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s, _ := serve(t, Config{TLS: a.node(t, hour()), Token: testToken})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	url := "https://" + s.TCPAddr().String()
	for _, test := range []struct {
		path, auth string
		code       int
	}{{"/primary", "", 200}, {"/v1/node", "", 401}, {"/v1/node", "Bearer wrong", 401}, {"/v1/node", "Bearer " + testToken, 200}} {
		if resp, body := get(t, c, "GET", url+test.path, nil, "Authorization", test.auth); resp.StatusCode != test.code {
			t.Errorf("%s %q: %d %s", test.path, test.auth, resp.StatusCode, body)
		}
	}
	_, err := newPeer(t, s.TCPAddr().String(), testToken).State(within(t, 20*time.Second))
	if err == nil || errors.Is(err, ErrSilent) {
		t.Errorf("in the clear: %v", err)
	}
}

func TestStrangersCertificatesAreNoSilence(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	s, _ := serve(t, Config{TLS: ours.node(t, hour()), Token: testToken})
	old, _ := serve(t, Config{TLS: ours.node(t, time.Now().Add(-time.Minute)), Token: testToken})
	_, clear := serve(t, Config{Token: testToken})
	// A stranger who believes us: what it shows is of another authority.
	stranger := theirs.node(t, hour())
	stranger.last.roots.AddCert(ours.cert)
	for _, test := range []struct {
		name, address string
		own           *TLS
		why           string
	}{
		{"a server of another authority", s.TCPAddr().String(), theirs.node(t, hour()), "unknown authority"},
		{"a client of another authority", s.TCPAddr().String(), stranger, "unknown certificate authority"},
		{"a server whose certificate has expired", old.TCPAddr().String(), ours.node(t, hour()), "expired"},
		{"a server without TLS", strings.TrimPrefix(clear, "http://"), ours.node(t, hour()), "does not speak TLS"},
	} {
		p := NewTLSPeer(test.address, testToken, test.own)
		_, err := p.State(within(t, 20*time.Second))
		p.Close()
		if err == nil || errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "TLS with it is not possible") || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestAPeerThatGoesSilentDuringTLSIsSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := NewTLSPeer(l.Addr().String(), testToken, newAuthority(t).node(t, hour()))
	defer p.Close()
	begun := time.Now()
	if _, err := p.State(within(t, 200*time.Millisecond)); !errors.Is(err, ErrSilent) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestARenewedCertificateHoldsForTheNextConnection(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	cert, key := a.sign(t, dir, hour())
	own, err := LoadTLS(cert, key, a.file)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() *big.Int {
		parsed, err := x509.ParseCertificate(own.now().cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.SerialNumber
	}
	stale := func() { own.mu.Lock(); own.seen = time.Time{}; own.mu.Unlock() }
	first := serial()
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	stale()
	if serial().Cmp(first) != 0 {
		t.Error("half a renewal was taken")
	}
	a.sign(t, dir, hour())
	stale()
	if serial().Cmp(first) == 0 {
		t.Error("the renewed certificate does not hold")
	}
}

func TestTLSFilesThatAreWrongAreNamed(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.sign(t, t.TempDir(), hour())
	other, _ := a.sign(t, t.TempDir(), hour())
	for name, files := range map[string][3]string{
		"missing": {cert + "x", key, a.file}, "no authority": {cert, key, key}, "another key": {other, key, a.file}, "no key": {cert, cert, ""},
	} {
		_, err := LoadTLS(files[0], files[1], files[2])
		if err == nil || !strings.Contains(err.Error(), "/") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if own, err := LoadTLS(cert, key, ""); err != nil || own.now().roots != nil {
		t.Errorf("without an authority: %v", err)
	}
}
