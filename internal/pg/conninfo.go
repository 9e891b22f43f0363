package pg

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
)

// Source is another node's server, over TCP, as a node that follows it sees it.
// The password stands in a file (WritePassfile), so that it appears neither in
// a process list nor in pg_stat_wal_receiver.
type Source struct {
	Host     string // name or address
	Port     int    //
	User     string // the replication role
	Passfile string // absolute, readable by the server's user alone
	Node     string // of this node: application_name
	Major    int    // of both servers, for ConnInfo; 0: unknown

	// TLS: the server shows a certificate of this authority, whatever name it
	// bears, and gets ours. The zero value is TLS where the server has it, with
	// whatever certificate.
	TLS TLSFiles
}

// TLSFiles are paths of PEM files that belong to the server's user.
type TLSFiles struct {
	Cert, Key, CA string
}

// sslWords are the parameters of libpq about TLS.
func (s Source) sslWords() []string {
	if s.TLS == (TLSFiles{}) {
		return []string{"sslmode", "prefer"}
	}
	// Not verify-full: nodes are found by addresses that change, and each that
	// has a certificate of the authority may be the primary.
	return []string{"sslmode", "verify-ca", "sslrootcert", s.TLS.CA, "sslcert", s.TLS.Cert, "sslkey", s.TLS.Key}
}

// How long a connection to another node's server may give no sign of life.
// libpq's and the server's defaults are minutes.
const (
	sourceConnect = 5 * time.Second
	sourceLink    = 5 * time.Second  // of the network
	sourceTimeout = 10 * time.Second // of the program at the other end, which may wait for its disk
)

// Check refuses what the other end would not understand as it was meant.
func (s Source) Check() error {
	if err := CheckNode(s.Node); err != nil {
		return err
	}
	switch {
	case s.Host == "" || strings.ContainsAny(s.Host, ",\r\n\x00"):
		return fmt.Errorf("%q is no host to follow", s.Host)
	case s.Port <= 0 || s.Port > 65535:
		return fmt.Errorf("%d is no port", s.Port)
	case s.User == "" || strings.ContainsAny(s.User, "\r\n\x00"):
		return fmt.Errorf("%q is no replication user", s.User)
	case !strings.HasPrefix(s.Passfile, "/") || strings.ContainsAny(s.Passfile, "\r\n\x00"):
		return fmt.Errorf("%q is no absolute path of a password file", s.Passfile)
	}
	if s.TLS != (TLSFiles{}) {
		for _, path := range []string{s.TLS.Cert, s.TLS.Key, s.TLS.CA} {
			if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\r\n\x00") {
				return fmt.Errorf("%q is no absolute path of a file for TLS", path)
			}
		}
	}
	return nil
}

// ConnInfo is the value for primary_conninfo
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
// A link that is cut is noticed on both ends within seconds, by TCP. What stands
// in options is for this connection on the other node: a fast shutdown there
// waits for a standby that is gone, with the defaults for a minute or more.
func (s Source) ConnInfo() string {
	var more []string
	if s.Major >= 14 {
		// A standby at this address is another node: it got the address, and has
		// a slot of the same name. libpq asks before anything is streamed.
		more = append(more, "target_session_attrs", "primary")
	}
	if s.Major >= 17 {
		more = append(more, "dbname", rewindDatabases[0]) // of the worker of sync_replication_slots; a WAL receiver has no use for it
	}
	return s.conninfo(s.Node, sourceTimeout, more...)
}

// toolName is the application_name of programs that copy. It is no node's: the
// walsender of a copy must not count as the node's own.
const toolName = "pgbaton_copy"

// toolInfo is for programs that copy: they are silent for as long as a disk is.
func (s Source) toolInfo(more ...string) string { return s.conninfo(toolName, time.Minute, more...) }

func (s Source) conninfo(name string, silence time.Duration, more ...string) string {
	words := []string{
		"host", s.Host, "port", strconv.Itoa(s.Port), "user", s.User, "passfile", s.Passfile,
		"application_name", name, "gssencmode", "disable",
		"connect_timeout", strconv.Itoa(int(sourceConnect.Seconds())),
		"keepalives", "1", "keepalives_idle", "3", "keepalives_interval", "1", "keepalives_count", "3",
		"tcp_user_timeout", milliseconds(sourceLink),
		"options", "-c wal_sender_timeout=" + milliseconds(silence) + " -c tcp_user_timeout=" + milliseconds(sourceLink) +
			" -c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3",
	}
	words = append(append(words, s.sslWords()...), more...)
	parts := make([]string, 0, len(words)/2)
	for i := 0; i < len(words); i += 2 {
		parts = append(parts, words[i]+"="+quoteConnInfo(words[i+1]))
	}
	return strings.Join(parts, " ")
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// quoteConnInfo quotes a value for libpq, where it has to be.
func quoteConnInfo(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// String names the server, for messages.
func (s Source) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// CheckReplicationPassword refuses a password that the programs at both ends
// might not prepare alike (SASLprep), or that no password file can hold.
func CheckReplicationPassword(password string) error {
	if password == "" {
		return errors.New("the replication password is empty")
	}
	for _, c := range []byte(password) {
		if c < ' ' || c > '~' {
			return errors.New("the replication password has other than printable ASCII characters")
		}
	}
	return nil
}

// WritePassfile writes a password file (libpq's pgpass) below root for one role
// on every server, mode 0600, durably. uid and gid own it: the server's user.
// Nothing is written where it is so already.
func WritePassfile(root *os.Root, name, user, password string, uid, gid int) error {
	if err := CheckReplicationPassword(password); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if user == "" || strings.ContainsAny(user, "\r\n\x00") {
		return fmt.Errorf("write %s: %q is no replication user", name, user)
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	text := "*:*:*:" + escape.Replace(user) + ":" + escape.Replace(password) + "\n"
	if samePassfile(root, name, text, uid) {
		return nil
	}
	return durable.WriteFile(root, name, []byte(text), uid, gid)
}
