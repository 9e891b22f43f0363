package pg

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// TimelineSwitch is one line of a timeline history.
type TimelineSwitch = node.TimelineSwitch

// ReadHistory reads pg_wal/<timeline>.history: the switches that led to the
// timeline, the oldest first. Timeline 1 has none. The error is fs.ErrNotExist
// where the file is missing, the system's, or a sentence about a damaged file.
func ReadHistory(pgdata string, timeline uint32) ([]TimelineSwitch, error) {
	if timeline <= 1 {
		return nil, nil
	}
	path := filepath.Join(pgdata, "pg_wal", fmt.Sprintf("%08X.history", timeline))
	raw, err := readRegular(path, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("read the history of timeline %d: %w", timeline, err)
	}
	switches, err := parseHistory(string(raw), timeline)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return switches, nil
}

// NewestHistory is the highest timeline that pg_wal has a history file of; 0:
// there is none.
func NewestHistory(pgdata string) (newest uint32, err error) {
	entries, err := os.ReadDir(filepath.Join(pgdata, "pg_wal"))
	if err != nil {
		return 0, fmt.Errorf("look for histories of timelines: %w", err)
	}
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), ".history")
		if t, err := strconv.ParseUint(name, 16, 32); is && err == nil && len(name) == 8 {
			newest = max(newest, uint32(t))
		}
	}
	return newest, nil
}

// parseHistory follows readTimeLineHistory in timeline.c: each line is a
// parent's number, the position, and a reason; # begins a comment.
func parseHistory(text string, timeline uint32) ([]TimelineSwitch, error) {
	var res []TimelineSwitch
	var last TimelineSwitch
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 || !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("%.80q is no whole line of a timeline history", line)
		}
		tli, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.80q does not begin with a timeline", line)
		}
		at, err := node.ParseLSN(f[1])
		if err != nil {
			return nil, err
		}
		next := TimelineSwitch{Timeline: uint32(tli), At: at}
		if next.Timeline <= last.Timeline || next.Timeline >= timeline || at < last.At {
			return nil, fmt.Errorf("%.80q is out of order", line)
		}
		res, last = append(res, next), next
	}
	if len(res) == 0 {
		return nil, fmt.Errorf("timeline %d has no parent in it", timeline)
	}
	return res, nil
}
