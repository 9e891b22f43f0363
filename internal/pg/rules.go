package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Scope is how far the generated pg_hba.conf lets this process in by a line of
// its own. The first line that matches decides and nothing after it is tried,
// so each such line takes from other operating system users what the user's
// file grants them as the superuser on that socket.
type Scope string

// The scopes.
const (
	Nobody      Scope = "nobody"      // no line of ours: the user's own rules let us in
	Maintenance Scope = "maintenance" // a line for database template1
	Everywhere  Scope = "everywhere"  // a line for all databases
	Alone       Scope = "alone"       // a line for all databases, and nobody else gets in: the user's files are left out
)

// identMap names our map in pg_ident.conf.
const identMap = "pgbaton"

// Rules generates the pg_hba.conf and pg_ident.conf that the server runs with:
// our line where it is needed, then the user's effective files. From 16 on
// those are included, before that copied.
type Rules struct {
	Dir       string     // where the generated files go; must exist
	Major     int        // of the server that reads them
	UserHBA   string     // the user's effective hba_file, absolute
	UserIdent string     // the user's effective ident_file, absolute; need not exist
	OSUsers   []string   // operating system users that may log in as Superuser by peer
	Superuser string     // the database role
	Scope     Scope      // empty is Nobody
	Owner     *proc.User // the server's user: reads the user's files and owns the generated ones; nil is this process's

	// Replication is the role that other nodes log in as over TCP with a SCRAM
	// password, to stream, copy and rewind; empty: no line for it. Its lines
	// are there in every scope, Alone too, before the user's.
	Replication string
	// Encrypted: that role gets in over TLS only, whatever the user's file says.
	Encrypted bool
	// Certified: it shows a certificate of the server's ssl_ca_file too.
	Certified bool
}

// HBA is the path of the generated pg_hba.conf, for hba_file.
func (r Rules) HBA() string { return filepath.Join(r.Dir, "pg_hba.conf") }

// Ident is the path of the generated pg_ident.conf, for ident_file.
func (r Rules) Ident() string { return filepath.Join(r.Dir, "pg_ident.conf") }

// Write brings both files up to date and reports whether one of them changed,
// which a running server takes up with a reload. Each is replaced as a whole,
// mode 0600. They are made again at every start, so nothing is synced to disk.
func (r Rules) Write() (changed bool, err error) {
	hba, ident, err := r.render()
	if err != nil {
		return false, fmt.Errorf("generate authentication rules: %w", err)
	}
	if err := r.keepEdits(); err != nil {
		return false, err
	}
	// The map before the line that needs it.
	changedIdent, err := r.replace(r.Ident(), sealed(ident))
	if err != nil {
		return false, fmt.Errorf("generate authentication rules: %w", err)
	}
	changedHBA, err := r.replace(r.HBA(), sealed(hba))
	if err != nil {
		return changedIdent, fmt.Errorf("generate authentication rules: %w", err)
	}
	return changedHBA || changedIdent, nil
}

// Stale reports whether Write is due: a generated file is missing or was
// edited, or (before 16, where they are copies) a file of the user's is another
// than it was. It costs a few system calls.
func (r Rules) Stale() bool {
	return r.stale(r.HBA(), r.UserHBA) || r.stale(r.Ident(), r.UserIdent)
}

func (r Rules) stale(generated, user string) bool {
	raw, err := readRegular(generated, maxUserFile)
	if err != nil {
		return true
	}
	if _, is := edited(generated); is {
		return true
	}
	return r.copies() && !strings.Contains(string(raw), "\n"+r.stamp(user)+"\n")
}

// copies reports whether the server is too old for include (16, hba.c).
func (r Rules) copies() bool { return r.Major < 16 && r.Scope != Alone }

func (r Rules) render() (hba, ident string, err error) {
	ownHBA, ownIdent, err := r.lines()
	if err != nil {
		return "", "", err
	}
	peers, err := r.replicationLines()
	if err != nil {
		return "", "", err
	}
	ownHBA += peers
	if r.Scope == Alone {
		return r.header("", "") + ownHBA, r.header("", "") + ownIdent, nil
	}
	// The stamps before the copies: a change in between makes the copy stale.
	headHBA, headIdent := r.header(r.UserHBA, ownHBA), r.header(r.UserIdent, ownIdent)
	userHBA, err := r.include("include", r.UserHBA)
	if err != nil {
		return "", "", err
	}
	// A server starts without pg_ident.conf, but not without pg_hba.conf.
	userIdent, err := r.include("include_if_exists", r.UserIdent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return headHBA + ownHBA + userHBA, headIdent + ownIdent + userIdent, nil
}

// lines returns our own lines for both files.
func (r Rules) lines() (hba, ident string, err error) {
	db := "all"
	switch r.Scope {
	case Nobody, "":
		return "", "", nil
	case Maintenance:
		db = "template1"
	}
	role, err := quoteRole(r.Superuser, r.Major)
	if err != nil {
		return "", "", err
	}
	if len(r.OSUsers) == 0 {
		return "", "", errors.New("no operating system user named")
	}
	var b strings.Builder
	for _, name := range r.OSUsers {
		user, err := quoteOSUser(name)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintf(&b, "%s %s %s\n", identMap, user, role)
	}
	return fmt.Sprintf("local %s %s peer map=%s\n", db, role, identMap), b.String(), nil
}

// replicationLines let the other nodes in. The keyword replication names no
// database; the others are where pg_rewind may read files.
func (r Rules) replicationLines() (string, error) {
	if r.Replication == "" {
		return "", nil
	}
	role, err := quoteRole(r.Replication, r.Major)
	if err != nil {
		return "", err
	}
	kind, how, rest := "host", "scram-sha-256", ""
	if r.Encrypted {
		kind, rest = "hostssl", fmt.Sprintf("hostnossl replication,all %s all reject\n", role)
	}
	if r.Certified {
		how += " clientcert=verify-ca"
	}
	return fmt.Sprintf("%s replication %s all %s\n%s %s %s all %s\n%s",
		kind, role, how, kind, strings.Join(rewindDatabases, ","), role, how, rest), nil
}

// header says what the file is to somebody who finds it in pg_settings or in
// an error message.
func (r Rules) header(user, own string) string {
	if user == "" {
		return "# Generated by pgbaton; changes here are lost.\n"
	}
	text := "# Generated by pgbaton; changes here are lost: edit " + quoteToken(user) + " and reload.\n"
	if r.copies() {
		// PostgreSQL's messages about a bad line give the number in this file.
		text += fmt.Sprintf("# Line 1 of that file is line %d here.\n", 4+strings.Count(own, "\n"))
		text += r.stamp(user) + "\n"
	}
	return text
}

// include is the user's file, or the line that brings it in.
func (r Rules) include(directive, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\r\n") {
		return "", fmt.Errorf("%q is not an absolute path on one line", path)
	}
	if !r.copies() {
		return directive + " " + quoteToken(path) + "\n", nil
	}
	raw, err := r.readUser(path)
	if err != nil {
		return "", err
	}
	return absoluteLists(string(raw), filepath.Dir(path), r.Major >= 14), nil
}
