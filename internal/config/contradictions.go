package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// contradictions refuses settings that cannot both be meant. It names both.
func contradictions(s Settings, vars map[string]string) error {
	return errors.Join(
		portContradiction(s, vars["PGPORT"]),
		controlDirContradiction(s, "PGBATON_VOLUME", s.Volume),
		controlDirContradiction(s, "PGDATA", vars["PGDATA"]),
		hooksContradiction(s, "PGBATON_VOLUME", s.Volume),
		hooksContradiction(s, "PGDATA", vars["PGDATA"]),
		tlsContradictions(s),
		clusterContradictions(s, vars["POSTGRES_USER"]),
		arbiterContradictions(s),
	)
}

// portContradiction refuses pgbaton's own port where it is PostgreSQL's: the
// server could not listen.
func portContradiction(s Settings, pgport string) error {
	_, port, _ := net.SplitHostPort(s.Listen)
	if s.Listen == "" || (pgport != port && (pgport != "" || port != defaultPort)) {
		return nil
	}
	if pgport == "" {
		pgport = "not set, so " + defaultPort
	}
	return fmt.Errorf("PGBATON_LISTEN (%s) takes the port of PostgreSQL, PGPORT (%s); %s; change one of them", s.Listen, pgport, untouched)
}

// controlDirContradiction refuses a control directory inside a directory that
// belongs to postgres: whoever has that uid could replace the socket and the
// pg_hba.conf in it.
func controlDirContradiction(s Settings, name, dir string) error {
	if dir == "" || !filepath.IsAbs(dir) || !inside(s.ControlDir, filepath.Clean(dir)) {
		return nil
	}
	return fmt.Errorf("PGBATON_CONTROL_DIR (%s) lies inside %s (%.80q), which belongs to postgres; %s; move it, for example to /run/pgbaton", s.ControlDir, name, dir, untouched)
}

// hooksContradiction refuses a directory of hooks inside a directory that
// belongs to postgres: hooks run as root.
func hooksContradiction(s Settings, name, dir string) error {
	if dir == "" || !filepath.IsAbs(dir) || !inside(s.Hooks, filepath.Clean(dir)) {
		return nil
	}
	return fmt.Errorf("PGBATON_HOOKS (%s) lies inside %s (%.80q), which belongs to postgres, but hooks run as root; %s; move it, for example to /etc/pgbaton/hooks.d", s.Hooks, name, dir, untouched)
}

// inside reports whether path is dir or lies under it; both are clean.
func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
