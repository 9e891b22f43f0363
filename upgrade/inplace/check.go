package inplace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// How long `pg_upgrade --check` may take, which grows with the number of
// objects: a generous bound, not a measured one. And how long the server that it
// may leave behind has to stop.
const (
	checkTimeout = 30 * time.Minute
	stopTimeout  = 30 * time.Second
)

// Check runs `pg_upgrade --check` on the running old server and the new cluster
// in newDir, which MakeCluster made, and turns what it has against an upgrade
// into findings. Its server of the new major is private, and stopped again; its
// output directory is removed.
func Check(
	ctx context.Context, s *Site, open Session, f upgrade.Facts, newDir string, progress Progress,
) (found []node.Finding, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("pg_upgrade --check took longer than %s", checkTimeout))
	defer cancel()
	mode, finding := upgrade.ChooseMode(f.Asked, f)
	if finding != nil && finding.Level == node.Refuse {
		mode = node.ModeCopy // the finding is Judge's; the rest of the checks goes on
	}
	run, work, err := s.prepareCheck(ctx, f, newDir, mode)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(s.Sockets) }()
	defer func() { err = errors.Join(err, s.afterCheck(ctx, newDir)) }()
	if err := run.Possible(); err != nil {
		return []node.Finding{{
			Level: node.Refuse, Code: "path-unusable", Text: err.Error(),
			Hint: "mount the volume at a short path of ASCII letters, digits, blanks, dots, - and _ only",
		}}, nil
	}
	lines := newUpgradeLines(progress)
	err = open(ctx, func(ctx context.Context, _ func(string) pg.Login) error {
		return run.Run(ctx, &s.User, s.Environ, work, lines.add)
	})
	var failed *pg.PgUpgradeError
	if ctx.Err() != nil || !errors.As(err, &failed) {
		return nil, err
	}
	reports, err := s.readReports(newDir)
	if err != nil {
		return nil, err
	}
	return upgrade.JudgeCheck(failed.Output, reports), nil
}

func (s *Site) prepareCheck(ctx context.Context, f upgrade.Facts, newDir string, mode node.UpgradeMode) (run pg.PgUpgrade, work string, err error) {
	live, err := pg.ReadPidFile(s.PGData)
	if err != nil {
		return run, "", fmt.Errorf("look for the running server: %w", err)
	}
	if err := errors.Join(s.makeDir("check"), s.makeSockets()); err != nil {
		return run, "", err
	}
	oldOptions, newOptions, err := HelperOptions(ctx, s, f)
	if err != nil {
		return run, "", err
	}
	// Should the live server stop right now, pg_upgrade starts it by itself: with
	// our options, so that it is harmless then too.
	run = pg.PgUpgrade{
		Old: s.Old, New: s.New, OldData: s.PGData, NewData: newDir, Superuser: s.Superuser, SocketDir: s.Sockets,
		Mode: mode, OldOptions: oldOptions, NewOptions: newOptions, Check: true, NewPort: checkPort,
	}
	if live.Port == checkPort { // both must differ (check_cluster_compatibility in check.c)
		run.NewPort++
	}
	return run, s.Scratch("check"), nil
}

const checkPort = 50432

// afterCheck leaves nothing running and nothing lying about, whatever happened.
func (s *Site) afterCheck(ctx context.Context, newDir string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	if _, err := pg.ReadPidFile(newDir); err == nil {
		err := proc.Run(ctx, s.spec(s.New, "pg_ctl", "stop", "--pgdata="+newDir, "--mode=immediate", "--wait", "--silent"))
		if err != nil {
			errs = append(errs, fmt.Errorf("stop the server of pg_upgrade --check: %w", err))
		}
	}
	return errors.Join(append(errs,
		s.Root.RemoveAll(path.Join(rel(s.Volume, newDir), outputDir)),
		s.Root.RemoveAll(path.Join(ScratchDir, "check")))...)
}

// outputDir is where pg_upgrade keeps its reports and logs, in the new cluster.
const outputDir = "pg_upgrade_output.d"

// maxReport is how much of a report is read.
const maxReport = 64 << 10

// readReports reads what a failed pg_upgrade left: reports by name, and the end
// of its log of servers as "log".
func (s *Site) readReports(newDir string) (map[string]string, error) {
	dir := path.Join(rel(s.Volume, newDir), outputDir)
	reports := map[string]string{}
	err := fs.WalkDir(s.Root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it failed before it made one
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "dump":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		base := path.Base(name)
		isLog := base == "pg_upgrade_server.log"
		if !isLog && filepath.Ext(base) != ".txt" {
			return nil
		}
		text, err := s.readSome(name, isLog)
		if isLog {
			base = upgrade.ServerLog
		}
		reports[base] += text
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the reports of pg_upgrade --check: %w", err)
	}
	return reports, nil
}

// readSome reads the beginning of a file, or its end.
func (s *Site) readSome(name string, end bool) (string, error) {
	f, err := s.Root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err == nil && end && info.Size() > maxReport {
		if _, err := f.Seek(-maxReport, io.SeekEnd); err != nil {
			return "", err
		}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxReport))
	return strings.ToValidUTF8(string(raw), "?"), err
}
