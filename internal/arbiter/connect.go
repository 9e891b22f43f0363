package arbiter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// connect makes a client. Certificates are read each time, so that renewed
// ones count.
func (c Config) connect(ctx context.Context) (*clientv3.Client, error) {
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: c.Endpoints, TLS: secure, Username: c.User, Password: c.Password,
		DialTimeout: askWithin, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return client, nil
}

// tls is how https endpoints are verified; nil where there are none.
func (c Config) tls() (*tls.Config, error) {
	if !strings.HasPrefix(c.Endpoints[0], "https://") {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authority of etcd: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the authority of etcd: %s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate for etcd: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// explainWithin bounds the look for a reason.
const explainWithin = 300 * time.Millisecond

// explain says why nothing was answered in time, where that lies in the
// certificates: etcd's client keeps it to itself.
func (c Config) explain(ctx context.Context, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	secure, e := c.tls()
	if e != nil || secure == nil {
		return plain(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainWithin)
	defer cancel()
	for _, endpoint := range c.Endpoints {
		host := strings.TrimPrefix(endpoint, "https://")
		if why := handshake(ctx, host, secure); why != nil {
			return fmt.Errorf("etcd at %s: %w", host, why)
		}
	}
	return plain(err)
}

// handshake is what one side does not like about the other's certificate; nil:
// nothing, or it was not heard.
func handshake(ctx context.Context, host string, secure *tls.Config) error {
	conn, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", host)
	if err == nil {
		defer func() { _ = conn.Close() }()
		deadline, _ := ctx.Deadline()
		_ = conn.SetReadDeadline(deadline)  // an error shows in the reading
		_, err = conn.Read(make([]byte, 1)) // a refusal comes after the handshake (TLS 1.3)
	}
	var verified *tls.CertificateVerificationError
	var alert *net.OpError
	if errors.As(err, &verified) || errors.As(err, &alert) && alert.Op == "remote error" {
		return err
	}
	return nil
}
