package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// sourceLimit bounds one question to another node's server.
const sourceLimit = 10 * time.Second

// session is one with the source's server, as the replication role.
func (s Source) session(database string) (*session, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	password, err := passfilePassword(s.Passfile, s.User)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: sourceConnect, KeepAlive: sourceConnect}
	return &session{limit: sourceLimit, dial: d.DialContext, open: func(by pq.Dialer) (*sql.DB, error) {
		mode := pq.SSLModePrefer
		if s.TLS != (TLSFiles{}) {
			mode = pq.SSLModeVerifyCA
		}
		c, err := pq.NewConnectorConfig(pq.Config{
			Host: s.Host, Port: uint16(s.Port), SSLMode: mode, SSLRootCert: s.TLS.CA, SSLCert: s.TLS.Cert, SSLKey: s.TLS.Key,
			User: s.User, Password: password, Database: database, Passfile: "/nonexistent",
			ApplicationName: toolName, ConnectTimeout: sourceConnect, ClientEncoding: "UTF8", Datestyle: "ISO, MDY",
			MinProtocolVersion: "3.0", MaxProtocolVersion: "3.0",
			Runtime: map[string]string{"search_path": "pg_catalog"},
		})
		if err != nil {
			return nil, err
		}
		c.Dialer(by)
		db := sql.OpenDB(c)
		db.SetMaxOpenConns(1)
		return db, nil
	}}, nil
}

// sourceFacts is what a copy or a rewind needs to know of the source first.
type sourceFacts struct {
	database string // the first of rewindDatabases that lets us in and read files
	major    int
	system   uint64 // system identifier
	standby  bool
	// checkpointed: pg_control has the timeline that is written. Before the
	// first checkpoint after a promotion it has not.
	checkpointed bool
	spaces       []string // locations of tablespaces
}

const sourceQuery = `
select current_setting('server_version_num')::int / 10000,
       (select system_identifier from pg_control_system()),
       pg_is_in_recovery(),
       case when pg_is_in_recovery() then true
            else (select timeline_id from pg_control_checkpoint()) = ` + writtenTimeline + ` end`

// in runs f in a session with the first database that is there.
func (s Source) in(ctx context.Context, f func(context.Context, *sql.DB) error) (database string, err error) {
	for _, database = range rewindDatabases {
		var ses *session
		if ses, err = s.session(database); err != nil {
			break
		}
		err = ses.do(ctx, f)
		ses.close()
		if err == nil || pq.As(err, pqerror.InvalidCatalogName, pqerror.ObjectNotInPrerequisiteState, pqerror.InsufficientPrivilege) == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("ask the server at %s as %q: %w", s, s.User, err)
	}
	return database, nil
}

// facts asks; mayRead also proves that the role may read files in the database.
func (s Source) facts(ctx context.Context, mayRead bool) (f sourceFacts, err error) {
	f.database, err = s.in(ctx, func(ctx context.Context, db *sql.DB) error {
		f = sourceFacts{}
		if mayRead {
			if _, err := db.ExecContext(ctx, "select pg_read_binary_file('PG_VERSION'), pg_ls_dir('global', true, false)"); err != nil {
				return err
			}
		}
		if err := db.QueryRowContext(ctx, sourceQuery).Scan(&f.major, &f.system, &f.standby, &f.checkpointed); err != nil {
			return err
		}
		return each(ctx, db, "select pg_tablespace_location(oid) from pg_tablespace where spcname not in ('pg_default', 'pg_global')",
			func(scan func(...any) error) error {
				var location string
				err := scan(&location)
				f.spaces = append(f.spaces, location)
				return err
			})
	})
	return f, err
}

// ensureSlot makes the slot at the source, or makes it again where it is lost.
func (s Source) ensureSlot(ctx context.Context, name string) error {
	if err := checkSlots([]string{name}); err != nil {
		return err
	}
	_, err := s.in(ctx, func(ctx context.Context, db *sql.DB) error {
		have, err := slots(ctx, db)
		if err != nil {
			return err
		}
		for _, slot := range have {
			switch {
			case slot.Name != name:
			case slot.Active:
				return errors.New("the slot " + name + " is in use: an earlier connection of this node has not ended there yet")
			case !slot.Lost && slot.Restart != 0:
				return nil
			default:
				return makeSlot(ctx, db, name, true)
			}
		}
		return makeSlot(ctx, db, name, false)
	})
	return err
}

// SystemIdentifier asks the source for its system identifier and major version.
func (s Source) SystemIdentifier(ctx context.Context) (system uint64, major int, err error) {
	f, err := s.facts(ctx, false)
	return f.system, f.major, err
}
