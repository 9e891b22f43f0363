package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// tempStop bounds how long the temporary server may take for a fast shutdown
// when the container is to end; a crash is harmless then, for the half-made
// cluster is kept aside anyway.
const tempStop = 5 * time.Second

// startTemp starts the server that nobody reaches over TCP and waits until it
// accepts connections.
func (b *bootstrap) startTemp(ctx context.Context) (*proc.Process, pg.PidFile, error) {
	args := append(slices.Clone(b.args), "-c", "listen_addresses=", "-p", strconv.Itoa(b.off.Port))
	before := pidFileBefore(b.place.pgdata)
	p, err := startPostmaster(launch{
		bin: b.bin, pgdata: b.place.pgdata, args: args, user: b.user, lock: b.lock,
		env: setEnv(b.env, "NOTIFY_SOCKET", ""),
	})
	if err != nil {
		return nil, pg.PidFile{}, err
	}
	if b.root != nil { // a step of docker-entrypoint.sh has no volume open
		err = recordPidFile(ctx, b.root, b.user, b.place.pgdata, p, before)
	}
	file, e := awaitReady(ctx, p, b.place.pgdata, before)
	if err = errors.Join(err, e); err != nil {
		return nil, file, errors.Join(fmt.Errorf("start the temporary server: %w", err), stopTemp(ctx, p))
	}
	return p, file, nil
}

// awaitReady polls postmaster.pid, as pg_ctl does, and oftener.
func awaitReady(ctx context.Context, p *proc.Process, pgdata string, before os.FileInfo) (pg.PidFile, error) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		file, wrote := readPidFile(p, pgdata, before)
		if wrote && (file.Ready() || file.Status == "standby") {
			return file, nil
		}
		select {
		case <-ctx.Done():
			return file, context.Cause(ctx)
		case <-p.Done():
			return file, &exitError{p.Status().ExitCode(), fmt.Errorf("postgres ended before it was ready: %s", p.Status())}
		case <-tick.C:
		}
	}
}

// stopTemp shuts the temporary server down: fast, and where the container is
// to end meanwhile, immediately after a bound.
func stopTemp(ctx context.Context, p *proc.Process) error {
	if err := p.Signal(pg.Fast); err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		select {
		case <-p.Done():
		case <-time.After(tempStop):
			if err := p.Signal(pg.Immediate); err != nil {
				return err
			}
			<-p.Done()
		}
	}
	if !p.Status().Success() && ctx.Err() == nil {
		return fmt.Errorf("stop the temporary server: %s", p.Status())
	}
	return nil
}

// stopRestarted stops the temporary server that an init script has restarted
// (pg_ctl restart, after ALTER SYSTEM): it is no child of ours, and it must
// not live on, for it listens to nobody outside.
func (b *bootstrap) stopRestarted(ctx context.Context) error {
	file, err := pg.ReadPidFile(b.place.pgdata)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the server that an init script started: %w", err)
	}
	info, err := proc.Stat(file.PID)
	if err != nil || info.Comm != "postgres" || info.UID != b.user.UID {
		return nil // left behind: the one that wrote it was killed
	}
	p, err := proc.Adopt(file.PID, info.Start)
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the server that an init script started: %w", err)
	}
	defer p.Release()
	err = stopTemp(ctx, p)
	// Kernels before 6.15 do not tell how a process ended that is not our child.
	if c, e := pg.ReadControl(b.place.pgdata); !p.Status().Known && e == nil && pg.CleanShutdown(c) {
		return nil
	}
	return err
}
