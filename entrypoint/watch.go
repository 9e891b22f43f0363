package entrypoint

import (
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// rulesWatch wakes the loop when something changes beside the user's
// pg_hba.conf or pg_ident.conf. It is a hint that saves waiting for the next
// tick, which looks all the same: events get lost (overflow, network file
// systems), and inotify instances run out.
type rulesWatch struct{ w *fsnotify.Watcher }

// watchRules begins to watch the directories of the user's files. The files
// themselves are replaced by editors, which ends a watch on them in silence.
func (s *supervisor) watchRules(r pg.Rules) {
	s.unwatchRules()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Debug("no watch on pg_hba.conf, only a look each second", "error", err)
		return
	}
	for _, dir := range []string{filepath.Dir(r.UserHBA), filepath.Dir(r.UserIdent)} {
		if err := w.Add(dir); err != nil {
			s.log.Debug("no watch on pg_hba.conf, only a look each second", "error", err)
		}
	}
	s.watch = &rulesWatch{w}
	go func() {
		for {
			select {
			case e, open := <-w.Events:
				if !open {
					return
				}
				if e.Has(fsnotify.Chmod) || (e.Name != r.UserHBA && e.Name != r.UserIdent) {
					continue
				}
				s.post(s.checkRules)
			case _, open := <-w.Errors:
				if !open {
					return
				}
				s.post(s.checkRules)
			}
		}
	}()
}

func (s *supervisor) unwatchRules() {
	if s.watch != nil {
		// It only closes descriptors, but the kernel takes some 15 ms for one of
		// inotify, and who waits for this loop may be a whole cluster's clients.
		go s.watch.w.Close() //nolint:errcheck // nothing was written
		s.watch = nil
	}
}

// checkRules takes up a change of the user's files where ours is a copy of
// them, and undoes one of ours.
func (s *supervisor) checkRules() {
	if s.server == nil || s.view.rules.Dir == "" {
		return
	}
	if s.view.rules.Stale() {
		s.log.Info("pg_hba.conf or pg_ident.conf changed: bringing the generated ones up to date")
		s.reload()
	}
	lost := s.view.rules.LostEdits()
	for _, text := range lost {
		if !slices.Contains(s.view.lostEdits, text) {
			s.log.Warn(text)
		}
	}
	s.view.lostEdits = lost
}
