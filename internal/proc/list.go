package proc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Info is what everybody may read about a process. /proc/PID/exe, cwd and
// environ are not here: root in Docker's default capabilities cannot read them
// for another uid (ptrace access, proc(5)).
type Info struct {
	PID, PPID int
	Group     int // process group
	UID       uint32
	State     byte   // R, S, D, T, Z, X (proc_pid_stat(5))
	Start     uint64 // clock ticks since boot
	Comm      string // first 15 bytes of the program's name
	Cmdline   string // arguments joined by blanks; empty for zombies
}

// Stat reads one process. The error is fs.ErrNotExist where it is gone.
func Stat(pid int) (Info, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	raw, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Info{}, err
	}
	info, err := parseStat(raw)
	if err != nil {
		return Info{}, fmt.Errorf("read %s/stat: %w", dir, err)
	}
	info.PID = pid
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Info{}, err
	}
	info.UID = parseUID(status)
	if cmd, err := os.ReadFile(dir + "/cmdline"); err == nil {
		info.Cmdline = strings.TrimSpace(string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
	}
	return info, nil
}

// parseStat reads /proc/PID/stat. The name stands in parentheses and may hold
// blanks and parentheses itself, so the fields count from the last one.
func parseStat(raw []byte) (Info, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return Info{}, fmt.Errorf("unexpected form %q", raw)
	}
	f := strings.Fields(string(raw[end+1:]))
	if len(f) < 20 {
		return Info{}, fmt.Errorf("unexpected form %q", raw)
	}
	info := Info{Comm: string(raw[open+1 : end]), State: f[0][0]}
	var err error
	if info.PPID, err = strconv.Atoi(f[1]); err != nil {
		return Info{}, err
	}
	if info.Group, err = strconv.Atoi(f[2]); err != nil {
		return Info{}, err
	}
	info.Start, err = strconv.ParseUint(f[19], 10, 64)
	return info, err
}

func parseUID(status []byte) uint32 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			if f := bytes.Fields(rest); len(f) > 1 {
				n, _ := strconv.ParseUint(string(f[1]), 10, 32) // the effective one
				return uint32(n)
			}
		}
	}
	return 0
}

// List returns every process of this PID namespace that could be read.
func List() ([]Info, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close() // read only
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if info, err := Stat(pid); err == nil {
			all = append(all, info)
		}
	}
	return all, nil
}

// ticksPerSecond is USER_HZ, which every Linux that Go runs on has at 100.
const ticksPerSecond = 100

// StartTime is the wall clock time at which a process started, to about a
// second: it rests on the boot time in /proc/stat.
func StartTime(info Info) (time.Time, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				return time.Time{}, fmt.Errorf("read the boot time: %w", err)
			}
			return time.Unix(boot, 0).Add(time.Duration(info.Start) * time.Second / ticksPerSecond), nil
		}
	}
	return time.Time{}, errors.New("read the boot time: no btime in /proc/stat")
}

// Uptime is the time since boot in the ticks of Info.Start. The clock is asked
// and not /proc/uptime, which some container engines replace.
func Uptime() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return math.MaxUint64 // no process is younger than that
	}
	return uint64(now.Nano()) / uint64(time.Second/ticksPerSecond)
}
