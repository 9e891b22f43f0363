package entrypoint

import (
	"slices"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

func TestLeftovers(t *testing.T) {
	const init, uid = 1, 999
	all := []proc.Info{
		{PID: 10, PPID: 1, UID: uid, Comm: "postgres", State: 'S', Cmdline: "postgres: checkpointer"},
		{PID: 11, PPID: 1, UID: uid, Comm: "postgres", State: 'R', Start: 500, Cmdline: "postgres -c a=b"}, // only just forked
		{PID: 18, PPID: 1, UID: uid, Comm: "postgres", State: 'R', Start: 501, Cmdline: "postgres -c a=b"}, // pg_ctl restart
		{PID: 12, PPID: 1, UID: uid, Comm: "postgres", State: 'Z', Cmdline: ""},                            // reaped in a moment
		{PID: 13, PPID: 20, UID: uid, Comm: "postgres", State: 'S', Cmdline: "postgres: walwriter"},        // of a live postmaster
		{PID: 14, PPID: 1, UID: 1000, Comm: "postgres", State: 'S', Cmdline: "postgres: walwriter"},        // another user's
		{PID: 15, PPID: 0, UID: uid, Comm: "postgres", State: 'S', Cmdline: "postgres -D /elsewhere"},      // docker exec
		{PID: 16, PPID: 1, UID: uid, Comm: "archive.sh", State: 'S', Cmdline: "sh archive.sh"},             // an archive_command
		{PID: 17, PPID: 1, UID: uid, Comm: "postgres", State: 'S', Cmdline: "/x/bin/postgres -D /another"}, // pg_ctl start
	}
	var pids []int
	for _, p := range leftovers(all, init, uid, "postgres -c a=b", 500) {
		pids = append(pids, p.PID)
	}
	if want := []int{10, 11}; !slices.Equal(pids, want) {
		t.Errorf("got %v, want %v", pids, want)
	}
}

func TestWithOOM(t *testing.T) {
	tests := []struct {
		name  string
		env   []string
		score int
		lower bool
		want  []string
	}{
		{"children are raised where the postmaster cannot be lowered", nil, 0, false, []string{"PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=300"}},
		{"children go back to the container's score where it can", nil, 50, true, []string{"PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=50"}},
		{"no score above the kernel's limit", nil, 900, false, []string{"PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=1000"}},
		{"the user's own choice stands", []string{"PG_OOM_ADJUST_FILE=/x"}, 0, false, []string{"PG_OOM_ADJUST_FILE=/x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := withOOM(tt.env, tt.score, tt.lower); !slices.Equal(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	want := []time.Duration{200, 400, 800, 1000, 1000}
	for i, w := range want {
		if got := backoff(i+1, time.Second); got != w*time.Millisecond {
			t.Errorf("death %d: pause %s, want %s", i+1, got, w*time.Millisecond)
		}
	}
	if got := backoff(1<<30, time.Hour); got != time.Hour {
		t.Errorf("a great many deaths: %s", got)
	}
}

func TestForServerDropsWhatOnlyTheScriptsShellNeeded(t *testing.T) {
	got := forServer([]string{"A=1", "PGPASSWORD=x", "SHLVL=1", "_=/usr/bin/env", "PWD=/", "B=2"})
	if want := []string{"A=1", "B=2"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestIsWAL(t *testing.T) {
	for name, want := range map[string]bool{
		"000000010000000000000001": true, "000000010000000000000001.partial": true, "archive_status": true,
		"summaries": true, "00000001": false, "notes.txt": false, "lost+found": false, "00000001000000000000000g": false,
	} {
		if pg.IsWALEntry(name) != want {
			t.Errorf("IsWALEntry(%q) is %v", name, !want)
		}
	}
}

func TestWarnings(t *testing.T) {
	const gb = 1 << 30
	tests := []struct {
		name string
		host host
		want int
	}{
		{"nothing to say", host{shm: gb, overcommit: "2", free: 100 * gb, inodes: 1e6, allInodes: 1e7}, 0},
		{"Docker's /dev/shm", host{shm: dockerShm, overcommit: "2", free: 100 * gb}, 1},
		{"overcommit", host{shm: gb, overcommit: "0", free: 100 * gb}, 1},
		{"little disk", host{shm: gb, overcommit: "2", free: gb / 2}, 1},
		{"few inodes", host{shm: gb, overcommit: "2", free: 100 * gb, inodes: 10, allInodes: 1e6}, 1},
		{"a file system without inode limit", host{shm: gb, overcommit: "2", free: 100 * gb}, 0},
		{"NFS", host{shm: gb, overcommit: "2", free: 100 * gb, remote: "NFS"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := warnings(tt.host, gb); len(got) != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
