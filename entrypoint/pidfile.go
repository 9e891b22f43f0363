package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// ownPidFile is what we know of the postmaster.pid that our own server wrote.
type ownPidFile struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// inspectPidFile judges a postmaster.pid by identity, never by its pid alone.
// It opens the file only when it changed: while somebody's opening is watched
// for, ours would count.
func (s *supervisor) inspectPidFile(v *volume) {
	path := filepath.Join(v.place.pgdata, "postmaster.pid")
	seen, err := os.Lstat(path)
	if err != nil {
		s.forgetPidFile(v)
		return
	}
	if v.pidSeen != nil && untouched(seen, v.pidSeen) && v.pidState != pidFileAlive {
		return
	}
	s.forgetPidFile(v)
	v.pidSeen = seen
	file, err := pg.ReadPidFile(v.place.pgdata)
	v.pidFile = file
	live, sure := s.alive(file)
	switch {
	case err == nil && live && sure:
		v.pidState = pidFileAlive
	case err == nil && live:
		// Doubt never acts: not adopted, and nothing started beside it.
		v.pidState = pidFileForeign
		v.pidHolder = fmt.Sprintf("%s names pid %d, a postgres in this container that started at another time than the file says", path, file.PID)
	case err == nil && (s.wroteIt(v, file) || s.helperWrote(file)):
		v.pidState = pidFileStale
	default:
		v.pidState = pidFileForeign
		v.pidHolder = fmt.Sprintf("%s was not written under this volume's lock (pid %d, started %s): another container may serve this data directory",
			path, file.PID, file.Started.Format(time.RFC3339))
		s.watchForeign(v, path)
	}
}

func (s *supervisor) forgetPidFile(v *volume) {
	if v.watch != nil {
		v.watch.close()
	}
	v.watch, v.watchable, v.pidState, v.pidHolder, v.pidFile, v.pidSeen = nil, false, pidFileNone, "", pg.PidFile{}, nil
}

func (s *supervisor) watchForeign(v *volume, path string) {
	if name := remoteName(path); name != "" {
		v.pidHolder += " (on " + name + ")"
		return
	}
	w, err := watchPidFile(path, s.wake)
	if err != nil {
		s.log.Warn("cannot watch", "error", err)
		return
	}
	v.watch, v.watchable = w, true
}

// alive reports whether the file's process runs in this container as a
// postmaster of the server's user, and whether it is surely the one that wrote
// the file: it started when the file says.
func (s *supervisor) alive(file pg.PidFile) (live, sure bool) {
	info, err := proc.Stat(file.PID)
	if err != nil || info.Comm != "postgres" || info.UID != s.user.UID || info.State == 'Z' ||
		strings.HasPrefix(info.Cmdline, "postgres: ") {
		return false, false
	}
	started, err := proc.StartTime(info)
	return true, err == nil && started.Sub(file.Started).Abs() <= 3*time.Second
}

// wroteIt reports whether a server of ours wrote the file. We hold the lock
// that such a server inherits, so it is gone.
func (s *supervisor) wroteIt(v *volume, file pg.PidFile) bool {
	var own ownPidFile
	err := durable.ReadJSON(v.root, serverFile, &own)
	if errors.Is(err, durable.ErrCorrupt) {
		s.keepCorrupt(v, serverFile, err)
	}
	return err == nil && own.PID == file.PID && own.Started.Equal(file.Started)
}

// pidFileBefore is the postmaster.pid that lies in a data directory before a
// server is started there, nil where none does. In a restarted container the
// new postmaster may well have the pid that stands in the old file.
func pidFileBefore(pgdata string) os.FileInfo {
	info, err := os.Lstat(filepath.Join(pgdata, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return info
}

// untouched reports whether two looks saw the same file with the same content.
func untouched(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

// readPidFile reads the postmaster.pid that p wrote; false: it has not yet.
func readPidFile(p *proc.Process, pgdata string, before os.FileInfo) (pg.PidFile, bool) {
	if before != nil {
		now := pidFileBefore(pgdata)
		if now == nil || untouched(now, before) {
			return pg.PidFile{}, false
		}
	}
	file, err := pg.ReadPidFile(pgdata)
	return file, err == nil && file.PID == p.PID
}
