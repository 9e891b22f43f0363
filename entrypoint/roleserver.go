package entrypoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

// clusterArgs are settings that a cluster rests on. They are given on the
// command line, so that no file of the user's can make a standby that cannot
// be promoted, rewound or upgraded.
func (s *supervisor) clusterArgs() []string {
	args := []string{
		"-c", "hot_standby=on",
		"-c", "wal_level=logical",
		"-c", "wal_log_hints=on",
		"-c", "wal_retrieve_retry_interval=500ms",
	}
	if keep := s.set.SlotKeep; keep > 0 {
		args = append(args, "-c", fmt.Sprintf("max_slot_wal_keep_size=%dMB", max(1, keep>>20)))
	}
	return args
}

// timelineArgs end the recovery of a standby whose promotion died half-way in
// the timeline that it had, whatever that promotion left in pg_wal.
func (s *supervisor) timelineArgs() []string {
	if t := s.cl.verdict.Timeline; t != 0 {
		return []string{"-c", fmt.Sprintf("recovery_target_timeline=%d", t)}
	}
	return nil
}

// raised are settings of which the primary of this node's WAL had more than this
// node's own configuration has. Where it cannot be read the server says so.
func (s *supervisor) raised() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v := s.volume
	args, err := pg.Raised(ctx, v.bin, v.place.pgdata, s.args, &s.user, setEnv(s.env, "PGDATA", v.place.pgdata))
	if err != nil {
		s.log.Warn("role: compare this standby's settings with those of its primary", "error", err)
	}
	return args
}

// ownLimits lets a standby tell what its own configuration has of the settings
// that it was raised in.
func (s *supervisor) ownLimits(server *node.Server) {
	if server == nil || !s.clustered() {
		return
	}
	for i := range server.Limits {
		if l := &server.Limits[i]; !setsArg(s.args, l.Name) {
			l.Next = l.Filed
		}
	}
}

// unevenLimits warns where nodes of this cluster are configured for different
// values of what a standby needs as much of as its primary.
func (s *supervisor) unevenLimits() []string {
	if s.view.server == nil {
		return nil
	}
	limits := map[string][]node.Limit{s.set.Node: s.view.server.Limits}
	for _, p := range s.cl.facts.Peers {
		if c := clusterOf(p); c != nil && c.Name == s.set.Cluster && p.Answers && p.State.Server != nil {
			limits[p.State.Node] = p.State.Server.Limits
		}
	}
	return notify.Uneven(limits)
}

// passFile is libpq's password file for the replication role, in the control
// directory.
const passFile = "replication.pass"

// source is how this node reaches another node's server: where it answered
// last, should it be known by several addresses.
func (s *supervisor) source(target string) (pg.Source, error) {
	p, found := s.cl.facts.Named(target)
	if !found {
		return pg.Source{}, fmt.Errorf("%s is not known", target)
	}
	if _, err := s.copyCertificate(); err != nil {
		return pg.Source{}, err
	}
	host, port := serverOf(p)
	return pg.Source{
		Host: host, Port: port, User: s.set.ReplicationUser, Node: s.set.Node, Major: s.volume.major,
		Passfile: filepath.Join(s.control, passFile), TLS: s.tlsFiles(),
	}, s.writePassFile()
}

func (s *supervisor) writePassFile() error {
	root, err := os.OpenRoot(s.control)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return pg.WritePassfile(root, passFile, s.set.ReplicationUser, s.set.ReplicationPassword.Reveal(), owner(s.user), int(s.user.GID))
}

// sourceSettings let a standby follow target, at the address that is returned
// too; an empty one: nobody.
func (s *supervisor) sourceSettings(target string) (set map[string]string, at string, err error) {
	set = map[string]string{pg.PrimaryConnInfo: "", pg.PrimarySlotName: "", pg.SyncNames: ""}
	if target == "" {
		return set, "", nil
	}
	src, err := s.source(target)
	if err != nil {
		return nil, "", err
	}
	if err := src.Check(); err != nil {
		return nil, "", err
	}
	set[pg.PrimaryConnInfo], set[pg.PrimarySlotName] = src.ConnInfo(), pg.SlotName(s.set.Node)
	return set, src.String(), nil
}

// readyRole makes the record durable and the data directory what it permits
// before a server starts on it: a primary with its heir named, so that no commit can be
// acknowledged without it, or a standby.
func (s *supervisor) readyRole() error {
	v := s.volume
	do, target := s.cl.verdict.Do, s.cl.verdict.Target
	if r := s.cl.verdict.Record; r != nil {
		if err := s.saveRole(r); err != nil {
			return err
		}
	}
	set, at, err := s.sourceSettings("")
	if do == notify.StartStandby {
		set, at, err = s.sourceSettings(target)
	}
	if err != nil {
		return err
	}
	s.cl.follows, s.cl.source, s.cl.names, s.cl.losing.loss = target, at, true, nil
	if do == notify.StartPrimary {
		s.cl.follows, s.cl.source = "", ""
		if target != "" {
			set[pg.SyncNames] = pg.SyncFor(target)
		}
	}
	if err := pg.WriteAuto(v.place.pgdata, set, owner(s.user), int(s.user.GID)); err != nil {
		return err
	}
	if do != notify.StartStandby {
		return s.removeSignals("standby.signal", "recovery.signal")
	}
	if err := s.makeSignalFile(); err != nil {
		return err
	}
	// PostgreSQL leaves this one lying where both are there, and would recover
	// anew at the first start after the promotion.
	return s.removeSignals("recovery.signal")
}

// makeSignalFile makes the data a standby's, for every later start by anybody.
func (s *supervisor) makeSignalFile() error {
	err := s.withReserve(func() error {
		return s.inData(func(root *os.Root) error {
			return durable.WriteFile(root, "standby.signal", nil, owner(s.user), int(s.user.GID))
		})
	})
	s.cl.signalled = err == nil
	if err != nil {
		return fmt.Errorf("make standby.signal: %w", err)
	}
	return nil
}

// inData runs do in the data directory, with the rights of the server's user:
// it owns the directories on the way there and may put a link in their place at
// any moment, so that root must never be led by them.
func (s *supervisor) inData(do func(root *os.Root) error) error {
	return pg.AsUser(&s.user, func() error {
		root, err := os.OpenRoot(s.volume.place.pgdata)
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }()
		return do(root)
	})
}

func (s *supervisor) removeSignals(names ...string) error {
	return s.inData(func(root *os.Root) error {
		for _, name := range names {
			if name == "standby.signal" {
				s.cl.signalled = false
			}
			if _, err := root.Lstat(name); err != nil {
				continue
			}
			if err := durable.Remove(root, name); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
		return nil
	})
}
