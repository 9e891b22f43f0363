package inplace

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// trialReserve is left free for the old server: it would end (PANIC) where it
// cannot write its WAL.
const trialReserve = 64 << 20

// watchSpace ends the trial when the file system of dir is nearly full.
func watchSpace(ctx context.Context, dir string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil && int64(st.Bavail)*st.Bsize < trialReserve {
			cancel(verdict{spaceFinding(fmt.Sprintf("%d MB were left, and %d MB are kept for the running server",
				int64(st.Bavail)*st.Bsize>>20, trialReserve>>20))})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// settings of the throw-away server give room for the locks of a restore and
// for subscriptions, and keep its WAL small.
func (t *trial) settings() map[string]string {
	const sessions = 40
	relations := 0
	for _, d := range t.dbs {
		relations = max(relations, d.Relations)
	}
	res := map[string]string{
		"allow_in_place_tablespaces": "on",
		"max_connections":            fmt.Sprint(sessions),
		"max_locks_per_transaction":  fmt.Sprint(max(1024, 2*relations/sessions)),
		"max_replication_slots":      "1000", // before 18 also the room for subscriptions' origins
		"max_wal_senders":            "0",
		"max_wal_size":               fmt.Sprintf("%dMB", max(128, 4*t.facts.Server.Int("wal_segment_size")>>20)),
		"checkpoint_timeout":         "1h",
	}
	if t.New.Major >= 18 {
		res["max_active_replication_origins"] = "1000"
	}
	return res
}

// noPreloadNeeded are libraries of PostgreSQL's own that are preloaded for what
// they do at run time; functions in them can be made without.
var noPreloadNeeded = []string{"pg_stat_statements", "pg_prewarm", "auto_explain", "pg_overexplain", "passwordcheck", "auth_delay"}

// preloads are the preloaded libraries that some function is in, for only
// those can matter to a restore; and every other stays away, for it may start
// workers that act on what is in the cluster.
func (t *trial) preloads(ctx context.Context, l pg.Login) ([]string, error) {
	libs, err := l.Preloaded(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(libs, func(lib string) bool {
		return slices.Contains(noPreloadNeeded, lib) ||
			!slices.ContainsFunc(t.dbs, func(d pg.SchemaDatabase) bool { return slices.Contains(d.Libraries, lib) }) ||
			slices.ContainsFunc(t.facts.NoPreloads, func(p pg.Preload) bool { return pg.LibraryName(p.Library) == lib })
	}), nil
}
