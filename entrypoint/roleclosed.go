package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// inProduction is the state of data in pg_control whose recovery is over.
const inProduction = "in production"

// recoverClosed replays the data's own WAL as a standby that nobody reaches
// and that follows nobody, and stops it: then the end of its WAL is known.
func (s *supervisor) recoverClosed() {
	err := s.makeSignalFile()
	args := append(append([]string{"-c", "archive_mode=off"}, pg.ReplayOwn()...), s.raised()...)
	s.runClosed("replaying the WAL of a server that died", err, args, awaitReady)
}

// finishRestore replays the WAL of a restored backup up to where its
// configuration wants it to end, and lets PostgreSQL end it there: with a
// timeline of its own, for the archive may hold what came after on the present
// one.
func (s *supervisor) finishRestore() {
	s.runClosed("finishing the restore of a backup", nil, pg.FinishRestore(), awaitProduction)
}

// awaiting waits for what a closed server was started for.
type awaiting func(ctx context.Context, p *proc.Process, pgdata string, before os.FileInfo) (pg.PidFile, error)

// awaitProduction waits until the server's recovery is over.
func awaitProduction(ctx context.Context, p *proc.Process, pgdata string, before os.FileInfo) (pg.PidFile, error) {
	file, err := awaitReady(ctx, p, pgdata, before)
	for err == nil {
		if c, e := pg.ReadControl(pgdata); e == nil && c.State == inProduction && !exists(filepath.Join(pgdata, "recovery.signal")) {
			return file, nil
		}
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-p.Done():
			err = &exitError{p.Status().ExitCode(), fmt.Errorf("postgres ended before its recovery did: %s", p.Status())}
		case <-time.After(readyPoll):
		}
	}
	return file, err
}

// runClosed runs a server that nobody reaches, until what it is for is done.
func (s *supervisor) runClosed(what string, err error, args []string, await awaiting) {
	vol := s.volume
	nobody, _, e := s.sourceSettings("")
	if err = errors.Join(err, e); err == nil {
		err = pg.WriteAuto(vol.place.pgdata, nobody, owner(s.user), int(s.user.GID))
	}
	dir := filepath.Join(s.control, "recover")
	all := append(append([]string{}, s.args...), s.clusterArgs()...)
	all = append(all, "-c", "listen_addresses=", "-c", "unix_socket_directories="+dir, "-c", "max_logical_replication_workers=0")
	l := launch{bin: vol.bin, pgdata: vol.place.pgdata, args: append(all, args...), env: s.env, user: s.user, lock: vol.lock, stale: vol.pidFile.PID, words: &lastWords{}}
	s.run(what, func(ctx context.Context) func() {
		if err == nil {
			err = l.runClosed(ctx, dir, await)
		}
		return func() { s.copied(what, err) }
	})
}

func (l launch) runClosed(ctx context.Context, sockets string, await awaiting) error {
	if err := os.MkdirAll(sockets, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(sockets, int(l.user.UID), int(l.user.GID)); err != nil {
			return err
		}
	}
	before := pidFileBefore(l.pgdata)
	p, err := startPostmaster(l)
	if err != nil {
		return err
	}
	_, err = await(ctx, p, l.pgdata, before)
	if err = errors.Join(err, stopTemp(ctx, p)); err != nil {
		return l.words.explain(err)
	}
	return nil
}
