package pg

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/pgbaton/pgbaton/internal/node"
)

// How long this process waits for a server that hangs: for the connection
// with its authentication, and for one statement. A context may end it earlier.
const (
	connectTimeout   = 5 * time.Second
	statementTimeout = 30 * time.Second
	// lockTimeout is shorter than any question may take: that somebody holds a
	// lock is an answer.
	lockTimeout = time.Second
)

// Login says how to reach a server over its Unix socket, and as whom.
type Login struct {
	SocketDir string
	Port      int
	User      string // database role
	Password  string // for rules that ask for one; may be empty
	Database  string // empty: any that lets us in; without a door template1, which every cluster has
	PeerUID   int    // operating system user to appear as; negative: this process's
	Major     int    // of the server; 0: unknown
	Door      *Door  // bounds the connections; nil: nothing does

	kept   bool // one of the door's own sessions
	sender bool // as a walsender, which is not counted among the clients, and takes SQL without parameters
}

// Socket is the path of the server's socket.
func (l Login) Socket() string {
	return filepath.Join(l.SocketDir, ".s.PGSQL."+strconv.Itoa(l.Port))
}

// open returns a handle for at most one connection, which the caller closes
// soon: a connection that stays blocks who wants its database for himself.
func (l Login) open() (*sql.DB, error) { return l.openBy(dialer{uid: l.PeerUID}) }

func (l Login) openBy(d pq.Dialer) (*sql.DB, error) {
	var c driver.Connector
	var err error
	if l.Door != nil {
		kept, _ := d.(sessionDialer)
		c = through{l, kept.s}
	} else {
		c, err = l.connector(l.databases()[0], d, connectTimeout)
	}
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return db, nil
}

// connector logs in to one database. Nothing is taken from this process's
// environment, whose PG* variables are for postgres.
func (l Login) connector(database string, d pq.Dialer, within time.Duration) (*pq.Connector, error) {
	if l.Port <= 0 || l.Port > 65535 || !filepath.IsAbs(l.SocketDir) {
		return nil, fmt.Errorf("no such socket: %s", l.Socket())
	}
	c, err := pq.NewConnectorConfig(pq.Config{
		Host: l.SocketDir, Port: uint16(l.Port), SSLMode: pq.SSLModeDisable,
		User: l.User, Password: l.Password, Database: database,
		Passfile:           "/nonexistent", // else ~/.pgpass is read
		ApplicationName:    l.application(),
		ConnectTimeout:     within,
		ClientEncoding:     "UTF8",
		Datestyle:          "ISO, MDY",
		MinProtocolVersion: "3.0", MaxProtocolVersion: "3.0",
		Runtime: l.runtime(),
	})
	if err != nil {
		return nil, err
	}
	c.Dialer(d)
	return c, nil
}

func (l Login) application() string {
	if l.kept {
		return keptName
	}
	return "pgbaton"
}

// runtime are settings that hold whatever the role and the database have of
// their own: neither functions, triggers and libraries of users nor their
// limits are for the supervisor's SQL.
func (l Login) runtime() map[string]string {
	set := map[string]string{
		"search_path":                         "pg_catalog", // no function of a user's in our statements
		"statement_timeout":                   strconv.FormatInt(statementTimeout.Milliseconds(), 10),
		"lock_timeout":                        strconv.FormatInt(lockTimeout.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": "0",
		"default_transaction_read_only":       "off",
		"role":                                "none",
		"session_preload_libraries":           "",
	}
	if l.Major >= 14 {
		set["idle_session_timeout"] = "0"
	}
	if l.Major >= 17 {
		set["transaction_timeout"], set["event_triggers"] = "0", "off" // triggers on login
	}
	if l.sender {
		set["replication"] = "database"
	}
	return set
}

// with runs do on a connection of its own.
func (l Login) with(ctx context.Context, what string, do func(*sql.DB) error) error {
	db, err := l.open()
	if err == nil {
		defer db.Close() //nolint:errcheck // nothing to lose: every statement has ended
		err = do(db)
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return fmt.Errorf("%s as %q: %w", what, l.User, err)
}

// factsQuery: connections are those of others.
const factsQuery = `
select current_setting('server_version'),
       current_setting('max_connections')::int,
       (select rolname from pg_roles where oid = 10),
       pg_is_in_recovery(),
       coalesce(case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                     else pg_current_wal_lsn() end::text, ''),
       (select count(*) from pg_stat_activity
         where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name not in ('pgbaton', '` + keptName + `'))`

// Facts asks the server about itself. Server.Mismatch is left to
// CollationMismatches, which needs a connection to every database.
func (l Login) Facts(ctx context.Context) (s node.Server, r node.Role, err error) {
	err = l.with(ctx, "ask the server about itself", func(db *sql.DB) error {
		var standby bool
		row := db.QueryRowContext(ctx, factsQuery)
		if err := row.Scan(&s.Version, &s.MaxConns, &s.Superuser, &standby, &s.LSN, &s.Connections); err != nil {
			return err
		}
		r = node.Primary
		if standby {
			r = node.Standby
		}
		s.Asked = time.Now()
		if err := askUnwaited(ctx, db, &s); err != nil {
			return err
		}
		return askPending(ctx, db, &s)
	})
	return s, r, err
}

// unwaitedQuery: what else synchronous_commit may be waits for a standby that is named.
const unwaitedQuery = `
select concat_ws(' in ', case when s.setrole <> 0 then format('role "%s"', coalesce(r.rolname, s.setrole::text)) end,
                         case when s.setdatabase <> 0 then format('database "%s"', coalesce(d.datname, s.setdatabase::text)) end)
  from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
 where exists (select from unnest(s.setconfig) c where c ~ '^synchronous_commit=(off|local|false|no|0)$')
 order by 1`

// askUnwaited asks whose sessions do not wait for a standby by ALTER ROLE or ALTER DATABASE.
func askUnwaited(ctx context.Context, db *sql.DB, s *node.Server) error {
	return each(ctx, db, unwaitedQuery, func(scan func(...any) error) error {
		var who string
		err := scan(&who)
		s.Unwaited = append(s.Unwaited, cmp.Or(who, "all roles"))
		return err
	})
}

// CreateDatabase makes a database unless it exists.
func CreateDatabase(ctx context.Context, l Login, name string) error {
	if name == "" || strings.Contains(name, "\x00") {
		return fmt.Errorf("create database: the name %q is impossible", name)
	}
	return l.with(ctx, fmt.Sprintf("create database %q", name), func(db *sql.DB) error {
		// Looked up first: an attempt in vain is an ERROR in the server's log.
		var exists bool
		err := db.QueryRowContext(ctx, "select exists (select from pg_database where datname = $1::name)", name).Scan(&exists)
		if err != nil || exists {
			return err
		}
		// A copy of template1 can take longer than any other statement of ours.
		if _, err := db.ExecContext(ctx, "set statement_timeout = 0"); err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, "create database "+pq.QuoteIdentifier(name))
		// The second where somebody else makes it at the same moment.
		if pq.As(err, pqerror.DuplicateDatabase, pqerror.UniqueViolation) != nil {
			return nil
		}
		return err
	})
}

// Denied reports whether the server refused the login itself: SQLSTATE class
// 28, which is a missing line in pg_hba.conf, a wrong user or password.
func Denied(err error) bool {
	e := pq.As(err)
	return e != nil && e.Code.Class() == "28"
}

// IsFull reports whether the server refused the login because it has as many
// clients as it may.
func IsFull(err error) bool { return pq.As(err, pqerror.TooManyConnections) != nil }

// NotYet reports whether the server is there and takes no connections now: it
// starts, recovers or stops (SQLSTATE 57P03).
func NotYet(err error) bool { return pq.As(err, pqerror.CannotConnectNow) != nil }
