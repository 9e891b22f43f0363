package nodeapi

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// TLS is a node's certificate, its key and the authority of the cluster's
// certificates, as files: whatever renews them, the next connection has them.
type TLS struct {
	cert, key, ca string // ca may be empty: no client certificates then

	mu   sync.Mutex
	seen time.Time // of the latest look at the files
	last loaded
}

// loaded is what the files held.
type loaded struct {
	text  [3][]byte
	cert  tls.Certificate
	roots *x509.CertPool
}

// renewTime is how long what was read counts as current.
const renewTime = 5 * time.Second

// LoadTLS reads the files, PEM each, and says what is wrong with them. Later
// ones that are wrong are left aside: the last good ones serve on.
func LoadTLS(cert, key, ca string) (*TLS, error) {
	t := &TLS{cert: cert, key: key, ca: ca}
	if err := t.read(); err != nil {
		return nil, err
	}
	t.seen = time.Now()
	return t, nil
}

// read replaces what is known where the files changed.
func (t *TLS) read() error {
	var next loaded
	for i, path := range []string{t.cert, t.key, t.ca} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read TLS file: %w", err)
		}
		next.text[i] = text
	}
	same := true
	for i := range next.text {
		same = same && bytes.Equal(next.text[i], t.last.text[i])
	}
	if same {
		return nil
	}
	var err error
	if next.cert, err = tls.X509KeyPair(next.text[0], next.text[1]); err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", t.cert, t.key, err)
	}
	if t.ca != "" {
		next.roots = x509.NewCertPool()
		if !next.roots.AppendCertsFromPEM(next.text[2]) {
			return fmt.Errorf("read authority %s: it holds no certificate", t.ca)
		}
	}
	t.last = next
	return nil
}

// PEM is what the files hold, or held when they last fitted each other.
func (t *TLS) PEM() (cert, key, ca []byte) {
	text := t.now().text
	return text[0], text[1], text[2]
}

// now is what the files hold, or held when they were last good.
func (t *TLS) now() loaded {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.seen) > renewTime {
		t.seen = time.Now()
		_ = t.read() // in the middle of a renewal files do not fit each other; the next look finds them whole
	}
	return t.last
}

// server is the configuration for one side that listens. A certificate of the
// authority stands for the token; who has none may still have the token.
func (t *TLS) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			l := t.now()
			c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{l.cert}}
			if l.roots != nil {
				c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, l.roots
			}
			return c, nil
		},
	}
}

// client is the configuration for asking peers. Every certificate of the
// authority is a node's, whatever name it bears: peers are found by addresses
// that change, and each of them may ask for the same.
func (t *TLS) client() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // the name alone; VerifyConnection verifies the rest
		VerifyConnection: func(s tls.ConnectionState) error {
			return verify(s.PeerCertificates, t.now().roots)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert := t.now().cert
			return &cert, nil
		},
	}
}

// secured puts TLS over a listener where there is one.
func (s *Server) secured(l net.Listener) net.Listener {
	if s.cfg.TLS == nil {
		return l
	}
	return tls.NewListener(l, s.cfg.TLS.server())
}

func verify(chain []*x509.Certificate, roots *x509.CertPool) error {
	if len(chain) == 0 || roots == nil {
		return &tls.CertificateVerificationError{Err: errors.New("there is no certificate or no authority")}
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// distrust reports whether err means that the other side answered, but one
// side did not accept the other's TLS.
func distrust(err error) bool {
	var bad *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	_, alerted := alertOf(err)
	return alerted || errors.As(err, &bad) || errors.As(err, &header) || errors.Is(err, http.ErrSchemeMismatch)
}

// alertOf finds what the other side said before it ended TLS. crypto/tls wraps
// its alerts, whose type it keeps to itself, in an error of the connection.
func alertOf(err error) (string, bool) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error(), true
	}
	return "", false
}
