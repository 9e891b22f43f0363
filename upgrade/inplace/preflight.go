package inplace

import (
	"context"
	"errors"
	"slices"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// Preflight finds out beside the running server whether an upgrade will
// succeed, and makes the new, empty cluster in the scratch directory ("new").
// Everything that stands against it is found at once, as far as that makes
// sense. An error is what could not be found out: nothing was touched then.
func Preflight(
	ctx context.Context, s *Site, open Session, req node.UpgradeRequest, progress Progress,
) (f upgrade.Facts, found []node.Finding, err error) {
	f, err = Gather(ctx, s, open, req, progress)
	if err != nil {
		return f, nil, err
	}
	found = upgrade.Judge(f)
	if f.Blocks() || f.Server.Recovery {
		return f, found, nil
	}
	wal, err := s.newWAL()
	if err != nil {
		return f, found, err
	}
	p := preflight{s: s, f: f, open: open, req: req, tell: progress, wal: wal}
	more, err := p.try(ctx)
	found = merge(found, more)
	if wal != "" && (err != nil || refuses(found) || req.Do == node.UpgradeCheck) {
		err = errors.Join(err, p.removeWAL(ctx)) // it is not in the scratch directory
	}
	return f, found, err
}

// newWAL is where the new cluster's WAL goes; empty for inside it.
func (s *Site) newWAL() (string, error) {
	wal, err := s.walDir(rel(s.Volume, s.PGData))
	return upgrade.NewWAL(wal, s.Old.Major, s.New.Major), err
}

type preflight struct {
	s    *Site
	f    upgrade.Facts
	open Session
	req  node.UpgradeRequest
	tell Progress
	wal  string
	made bool // a WAL directory, which is to be removed
}

// try makes the new cluster and has PostgreSQL's own programs look.
func (p *preflight) try(ctx context.Context) (found []node.Finding, err error) {
	p.tell("making an empty cluster of the new major", 15)
	dir := p.s.Scratch("new")
	if err := vacant(p.wal); err != nil {
		return nil, err // it is somebody else's, and not to be removed
	}
	p.made = true
	err = MakeCluster(ctx, p.s, p.f, dir, p.wal)
	var words *proc.Error
	switch {
	case errors.As(err, &words) && ctx.Err() == nil:
		bad := node.Finding{
			Level: node.Refuse, Code: "initdb", Text: "an empty cluster of the new major like the old one cannot be made",
			Hint:   "see initdb's words: a locale that the operating system lacks must be installed, a full disk made free",
			Detail: words.Stderr,
		}
		return []node.Finding{bad}, nil
	case err != nil:
		return nil, err
	}
	for _, part := range []struct {
		from, to float64
		look     func(ctx context.Context, dir string, tell Progress) ([]node.Finding, error)
	}{
		{20, 30, p.config}, {30, 45, p.check}, {45, 90, p.trial}, {90, 100, p.collations},
	} {
		more, err := part.look(ctx, dir, scaled(p.tell, part.from, part.to))
		found = merge(found, more)
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

func (p *preflight) config(ctx context.Context, dir string, tell Progress) ([]node.Finding, error) {
	tell("looking at the configuration", 0)
	_, found, err := PlanConfig(ctx, p.s, p.s.NewPGData())
	if err != nil || refuses(found) {
		return found, err
	}
	more, err := RuleFindings(ctx, p.s, dir)
	return append(found, more...), err
}

func (p *preflight) check(ctx context.Context, dir string, tell Progress) ([]node.Finding, error) {
	return Check(ctx, p.s, p.open, p.f, dir, tell)
}

func (p *preflight) trial(ctx context.Context, _ string, tell Progress) ([]node.Finding, error) {
	if p.req.NoTrial || p.f.Template0().Connect { // an open template0 is refused, and the trial would trip over it
		return nil, nil
	}
	return Trial(ctx, p.s, p.open, p.f, tell)
}

func (p *preflight) collations(ctx context.Context, _ string, tell Progress) ([]node.Finding, error) {
	return CollationFindings(ctx, p.s, p.open, p.req, tell)
}

// removeWAL removes the WAL of a cluster that will not be used, as the server's
// user: its directory is wherever the user put it.
func (p *preflight) removeWAL(ctx context.Context) error {
	if !p.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return proc.Run(ctx, proc.Spec{Args: []string{"rm", "-rf", "--", p.wal}, Env: p.s.Environ, Dir: "/", User: &p.s.User})
}

// scaled maps a part's percentages into the whole's.
func scaled(tell Progress, from, to float64) Progress {
	return func(doing string, percent float64) { tell(doing, from+(to-from)*percent/100) }
}

// merge adds findings, but not a second time what is known from an earlier part
// in other words.
func merge(found, more []node.Finding) []node.Finding {
	for _, m := range more {
		known := slices.ContainsFunc(found, func(f node.Finding) bool { return f.Code == m.Code && f.Level == m.Level })
		if known && saidBefore[m.Code] {
			continue
		}
		found = append(found, m)
	}
	return found
}

// saidBefore are the findings that both our own look and pg_upgrade make.
var saidBefore = map[string]bool{
	"template0-open": true, "library-missing": true, "prepared-transactions": true, "database-closed": true, "database-invalid": true,
	"tablespace-leftover": true, "slot-invalid": true, "superuser-limited": true, "mode-impossible": true,
}
