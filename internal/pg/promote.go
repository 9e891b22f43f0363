package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// promoteFile tells the postmaster what SIGUSR1 means (PROMOTE_SIGNAL_FILE in
// xlogrecovery.h). A postmaster that starts removes it.
const promoteFile = "promote"

// promotePoll is how often pg_control is read, which takes some 30 µs.
// pg_promote(true) and pg_ctl ask every 100 ms.
const promotePoll = time.Millisecond

// RequestPromotion tells a standby to become a primary and does not wait: the
// file is made as the server's user u (nil: this process's), then post is
// signalled. The error says where nothing was signalled; a running primary and
// a server that has not reached recovery are refused.
func RequestPromotion(data string, u *proc.User, post *proc.Process) error {
	err := requestPromotion(data, u, post)
	if err != nil {
		return fmt.Errorf("promote the server in %s: %w", data, err)
	}
	return nil
}

func requestPromotion(data string, u *proc.User, post *proc.Process) error {
	c, err := ReadControl(data)
	if err != nil {
		return err
	}
	if c.State != dbStates[5] {
		return fmt.Errorf("its state is %q, so it is no standby that runs; nothing was done", c.State)
	}
	path := filepath.Join(data, promoteFile)
	err = asUser(u, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return err
	}
	if err := post.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if post.Ended() {
		return fmt.Errorf("the postmaster (pid %d) has ended", post.PID)
	}
	return nil
}

// promoteAgain is how often the request is made again. One that comes while a
// WAL receiver is just being started ends the wait for that receiver, and is
// slept over in the wait that follows, wal_retrieve_retry_interval long
// (WaitForWALToBecomeAvailable in xlogrecovery.c); the next one ends that.
const promoteAgain = 10 * time.Millisecond

// awaitPromotion returns when the server accepts writes, in sessions that were
// open before as well as in new ones. pg_control tells it a moment after the
// server permits them and before the fsync (the end of StartupXLOG in xlog.c):
// as early as pg_is_in_recovery(), without a connection that might have to
// wait. When ctx ends the promotion may still be under way; when the postmaster
// ends it has died, at whatever step.
func awaitPromotion(ctx context.Context, data string, u *proc.User, post *proc.Process) error {
	defer forgetPromotion(data, u)
	tick := time.NewTicker(promotePoll)
	defer tick.Stop()
	again := time.NewTicker(promoteAgain)
	defer again.Stop()
	for {
		c, err := ReadControl(data)
		if err == nil && c.State == dbStates[6] {
			return nil
		}
		select {
		case <-post.Done():
			return fmt.Errorf("the server in %s died while it was promoted: %s", data, post.Status())
		case <-ctx.Done():
			if err == nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("wait for the promotion of the server in %s: it is still a standby, and may be promoted any moment: %w", data, err)
		case <-again.C:
			_ = requestPromotion(data, u, post) // the first one was told; an error is one that it is too late for
		case <-tick.C:
		}
	}
}

// forgetPromotion removes what a request leaves that came when the server was
// through: the server looks for it in recovery only.
func forgetPromotion(data string, u *proc.User) {
	_ = asUser(u, func() error { return os.Remove(filepath.Join(data, promoteFile)) })
}

func (s *session) inRecovery(ctx context.Context) (standby bool, err error) {
	err = s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "select pg_is_in_recovery()").Scan(&standby)
	})
	return standby, err
}

// Promote promotes the server and returns when it accepts writes, with the
// timeline that began and where. The signal comes first and the connection
// while the server is at it. A server that has been promoted already is found
// and told of in the same way.
func (l Login) Promote(ctx context.Context, data string, u *proc.User, post *proc.Process) (timeline uint32, at node.LSN, err error) {
	_, s, end := l.sessions(connectTimeout)
	defer end()
	asked := RequestPromotion(data, u, post)
	standby, err := s.inRecovery(ctx)
	switch {
	case asked != nil && err != nil:
		return 0, 0, errors.Join(asked, err)
	case asked != nil && standby:
		return 0, 0, asked
	case asked == nil:
		stop := s.clearWhile(ctx)
		err := awaitPromotion(ctx, data, u, post)
		stop()
		if err != nil {
			return 0, 0, err
		}
	}
	err = s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "select "+writtenTimeline).Scan(&timeline)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("the server in %s was promoted, and did not tell its timeline: %w", data, err)
	}
	switches, err := ReadHistory(data, timeline)
	if err != nil {
		return timeline, 0, err
	}
	if len(switches) > 0 {
		at = switches[len(switches)-1].At
	}
	return timeline, at, nil
}

// writtenTimeline is the timeline that a primary writes; pg_control has it only
// after the next checkpoint.
const writtenTimeline = `('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint`
