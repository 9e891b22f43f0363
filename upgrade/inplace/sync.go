package inplace

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// mostDirty is how much the kernel may still have to write, for whomever, where
// whole file systems are synced: some seconds of a slow disk.
const mostDirty = 256 << 20

// syncNew makes the new cluster durable. fsync of each file costs some 0.2 ms
// even where nothing is to be written: seconds with 10,000 tables. One syncfs(2)
// of the file system does the same at once, but waits for everybody's writes.
func (o *Operation) syncNew(ctx context.Context) error {
	dir := o.Journal.Build.PGData
	if o.Site.New.Major >= 17 && o.syncsWhole(dir) && dirtyBytes() <= mostDirty { // 17's initdb knows the option
		// What it cannot do, file by file may.
		if o.syncBy(ctx, dir, "--sync-method=syncfs") == nil {
			return nil
		}
	}
	return o.syncBy(ctx, dir)
}

func (o *Operation) syncBy(ctx context.Context, dir string, more ...string) error {
	args := append([]string{"initdb", "--sync-only", "--pgdata=" + dir}, more...)
	return proc.Run(ctx, o.Site.spec(o.Site.New, args...))
}

// syncsWhole reports whether syncfs writes all of a cluster to disk: of other
// file systems than these, FUSE above all, that is not known.
func (o *Operation) syncsWhole(dir string) bool {
	places := append(o.Site.tablespaces(rel(o.Site.Volume, dir)), dir)
	if wal := o.Journal.Build.WAL; wal != "" {
		places = append(places, wal)
	}
	for _, place := range places {
		var st unix.Statfs_t
		if err := unix.Statfs(place, &st); err != nil {
			return false
		}
		switch st.Type {
		case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		default:
			return false
		}
	}
	return true
}

// dirtyBytes is what waits to be written to any disk; a lot where that cannot
// be known.
func dirtyBytes() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1 << 62
	}
	return readDirty(text)
}

// readDirty sums up the lines Dirty and Writeback of proc_meminfo(5).
func readDirty(meminfo []byte) int64 {
	var sum int64
	seen := 0
	for lines := bufio.NewScanner(bytes.NewReader(meminfo)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key != "Dirty" && key != "Writeback" {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			sum, seen = sum+n<<10, seen+1
		}
	}
	if seen != 2 {
		return 1 << 62
	}
	return sum
}
