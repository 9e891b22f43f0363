package entrypoint

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// secured reports whether the nodes replicate over verified TLS: they do where
// a cluster's authority is given. The setting decides and not what could be
// read of it, so that no file that is missing makes replication plain.
func (s *supervisor) secured() bool { return s.clustered() && s.set.TLSCA != "" }

// tlsFiles are copies of the node's certificate that the server's user may read.
func (s *supervisor) tlsFiles() pg.TLSFiles {
	if !s.secured() {
		return pg.TLSFiles{}
	}
	return pg.TLSFilesIn(s.control)
}

// copyCertificate brings the copies up to date. A supervisor that could not
// read the originals goes on with the copies of the one before.
func (s *supervisor) copyCertificate() (changed bool, err error) {
	switch f := s.tlsFiles(); {
	case !s.secured():
		return false, nil
	case s.tls == nil:
		if _, err := os.Stat(f.Key); err != nil {
			return false, errors.New("the certificate of PGBATON_TLS_CERT cannot be read, so the server cannot replicate; nothing was started")
		}
		return false, nil
	default:
		cert, key, ca := s.tls.PEM()
		return f.Write(cert, key, ca, &s.user)
	}
}

// renewCertificate lets a running server and the next connections have the
// certificate that the files hold by now.
func (s *supervisor) renewCertificate() {
	changed, err := s.copyCertificate()
	if err != nil {
		s.log.Warn("renew the server's certificate; the one before is used on", "error", err)
	}
	if changed && s.server != nil {
		s.log.Info("the certificate was renewed")
		s.reload()
	}
}

// tlsArgs give the server the node's certificate, unless the user has given it
// one: nothing of theirs is overridden. certified: it is ours, so it can verify
// those of other nodes.
func (s *supervisor) tlsArgs() (args []string, certified bool, err error) {
	if !s.secured() {
		return nil, false, nil
	}
	if _, err := s.copyCertificate(); err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v := s.volume
	theirs, err := pg.UserTLS(ctx, v.bin, v.place.pgdata, s.args, &s.user, setEnv(s.env, "PGDATA", v.place.pgdata))
	if err != nil {
		return nil, false, err
	}
	if theirs {
		s.log.Warn("the server keeps the certificate of its own configuration (ssl is on there): PGBATON_TLS_CA has to verify it, else no standby connects")
		return nil, false, nil
	}
	return s.tlsFiles().ServerArgs(), true, nil
}

// certifies reports whether the running server was started with our certificate.
func (s *supervisor) certifies() bool {
	return s.secured() && strings.Contains(s.past.Command, "ssl_ca_file="+s.tlsFiles().CA)
}
