package pg

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// TLSFilesIn are the files of a node's certificate in a directory.
func TLSFilesIn(dir string) TLSFiles {
	return TLSFiles{
		Cert: filepath.Join(dir, "replication.crt"), Key: filepath.Join(dir, "replication.key"), CA: filepath.Join(dir, "replication.ca"),
	}
}

// Write brings the files up to date for the server's user, who alone may read
// them: PostgreSQL and libpq refuse a key that others may. changed tells
// whether a running server has to take them up with a reload.
func (f TLSFiles) Write(cert, key, ca []byte, owner *proc.User) (changed bool, err error) {
	for _, one := range []struct {
		path string
		text []byte
	}{{f.CA, ca}, {f.Cert, cert}, {f.Key, key}} {
		wrote, err := replaceFile(one.path, string(one.text), owner)
		if err != nil {
			return changed, fmt.Errorf("keep the certificate for the server: %w", err)
		}
		changed = changed || wrote
	}
	return changed, nil
}

// ServerArgs let a server use them.
func (f TLSFiles) ServerArgs() []string {
	return []string{"-c", "ssl=on", "-c", "ssl_cert_file=" + f.Cert, "-c", "ssl_key_file=" + f.Key, "-c", "ssl_ca_file=" + f.CA}
}

// UserTLS reports whether a server started with args would have TLS by the
// user's own configuration.
func UserTLS(ctx context.Context, b Binaries, dir string, args []string, user *proc.User, env []string) (bool, error) {
	got, err := ShowSettings(ctx, b, dir, args, user, env, "ssl")
	return got["ssl"] == "on", err
}
